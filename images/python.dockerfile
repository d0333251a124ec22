{{#if python}}
FROM python:{{python}}-slim-bookworm
{{else}}
FROM debian:bookworm-slim
{{/if}}
{{> trust}}
{{> ffmpeg}}
{{#unless python}}
{{> apt-python}}
{{/unless}}
RUN python3 -m venv /opt/venv
ENV PATH="/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
{{> finish}}
