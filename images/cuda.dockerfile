FROM nvidia/cuda:{{cuda}}-{{flavor}}-{{os}}
{{> trust}}
{{> ffmpeg}}
ENV NVIDIA_DRIVER_CAPABILITIES="compute,video,utility" NVIDIA_VISIBLE_DEVICES="all"
{{> finish}}
