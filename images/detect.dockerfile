FROM nvidia/cuda:{{cuda}}-cudnn-{{flavor}}-{{os}}
{{> trust}}
{{> ffmpeg}}
{{> apt-python}}
RUN python3 -m venv /opt/venv \
  && /opt/venv/bin/pip install --no-cache-dir onnxruntime-gpu=={{onnxruntime}} \
  && rm -f /opt/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime_providers_tensorrt.so \
  && mkdir -p /opt/onnxruntime/lib \
  && ln -s /opt/venv/lib/python3*/site-packages/onnxruntime/capi/*.so* /opt/onnxruntime/lib/
ENV NVIDIA_DRIVER_CAPABILITIES="compute,video,utility" NVIDIA_VISIBLE_DEVICES="all" PATH="/opt/venv/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
{{> finish}}
