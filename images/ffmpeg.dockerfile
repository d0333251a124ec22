RUN mkdir -p /tmp/headless/DEBIAN \
  && printf '%s\n' 'Package: vdeploy-headless' 'Version: 1' 'Architecture: all' 'Maintainer: vdeploy <root@localhost>' \
    'Provides: libgl1-mesa-dri' 'Description: stands for drivers of screens, which nothing here draws on' > /tmp/headless/DEBIAN/control \
  && dpkg-deb --build /tmp/headless /tmp/headless.deb \
  && apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends /tmp/headless.deb ca-certificates ffmpeg \
  && rm -rf /tmp/headless* /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /usr/share/doc/* /usr/share/man/*
