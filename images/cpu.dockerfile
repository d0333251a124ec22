FROM debian:bookworm-slim
{{> trust}}
{{> ffmpeg}}
{{> finish}}
