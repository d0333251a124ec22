FROM debian:bookworm-slim
{{> trust}}
RUN apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends ca-certificates ffmpeg \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /usr/share/doc/* /usr/share/man/*
{{> finish}}
