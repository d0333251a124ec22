{{#if python}}
FROM python:{{python}}-slim-bookworm
{{else}}
FROM debian:bookworm-slim
{{/if}}
{{> trust}}
RUN apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends ca-certificates ffmpeg{{#unless python}} python3 python3-venv{{/unless}} \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /usr/share/doc/* /usr/share/man/*
RUN python3 -m venv /opt/venv
ENV PATH="/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
{{> finish}}
