FROM nvidia/cuda:{{cuda}}-cudnn-{{flavor}}-{{os}}
{{> trust}}
ENV NVIDIA_DRIVER_CAPABILITIES="compute,video,utility" NVIDIA_VISIBLE_DEVICES="all"
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates ffmpeg python3 python3-venv \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /usr/share/doc/* /usr/share/man/*
RUN python3 -m venv /opt/venv \
  && /opt/venv/bin/pip install --no-cache-dir onnxruntime-gpu=={{onnxruntime}} \
  && mkdir -p /opt/onnxruntime/lib \
  && ln -s /opt/venv/lib/python3*/site-packages/onnxruntime/capi/*.so* /opt/onnxruntime/lib/
ENV PATH="/opt/venv/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
{{> finish}}
