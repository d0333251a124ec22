FROM nvidia/cuda:{{cuda}}-base-{{os}} AS build
{{> trust}}
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    build-essential ca-certificates clang git nasm pkg-config \
    libass-dev libdav1d-dev libfreetype-dev libmp3lame-dev libopus-dev libvpx-dev libx264-dev libx265-dev libzimg-dev \
    meson ninja-build xxd
RUN git clone --quiet --depth 1 --branch {{headers}} https://git.videolan.org/git/ffmpeg/nv-codec-headers.git /src/nv-codec-headers \
  && make -C /src/nv-codec-headers install PREFIX=/usr
RUN git clone --quiet --depth 1 --branch {{vmaf}} https://github.com/Netflix/vmaf.git /src/vmaf \
  && meson setup /src/vmaf/build /src/vmaf/libvmaf --prefix /opt/ffmpeg --libdir lib --buildtype release -Denable_tests=false -Denable_docs=false \
  && ninja -C /src/vmaf/build install
RUN git clone --quiet --depth 1 --branch {{ffmpeg}} https://git.ffmpeg.org/ffmpeg.git /src/ffmpeg \
  && cd /src/ffmpeg \
  && PKG_CONFIG_PATH=/opt/ffmpeg/lib/pkgconfig ./configure --prefix=/opt/ffmpeg \
    --extra-ldflags="-Wl,-rpath,/opt/ffmpeg/lib" \
    --enable-gpl --enable-version3 --disable-doc --disable-ffplay --disable-debug \
    --enable-ffnvcodec --enable-nvenc --enable-nvdec --enable-cuvid --enable-cuda-llvm \
    --enable-libass --enable-libdav1d --enable-libfreetype --enable-libmp3lame --enable-libopus \
    --enable-libvmaf --enable-libvpx --enable-libx264 --enable-libx265 --enable-libzimg \
  && make -j"$(nproc)" && make install \
  && ldd /opt/ffmpeg/bin/ffmpeg | awk '/=> \/usr\/lib/ {print $3}' | xargs -r dpkg-query -S 2>/dev/null | cut -d: -f1 | sort -u > /opt/ffmpeg/packages

FROM nvidia/cuda:{{cuda}}-{{flavor}}-{{os}}
{{> trust}}
ENV NVIDIA_DRIVER_CAPABILITIES="compute,video,utility" NVIDIA_VISIBLE_DEVICES="all" PATH="/opt/ffmpeg/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COPY --from=build /opt/ffmpeg /opt/ffmpeg
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive xargs -a /opt/ffmpeg/packages apt-get install -y -qq --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /usr/share/doc/* /usr/share/man/*
{{> finish}}
