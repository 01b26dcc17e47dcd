# gpas on Debian 12, for CPUs:
#     docker build -t gpas . && docker run --rm gpas --version
# For other processors than the one that builds: --build-arg MARCH=x86-64-v3.
FROM debian:12
ARG MARCH=native
WORKDIR /src/gpas
COPY scripts/install-dependencies scripts/install-dependencies
RUN scripts/install-dependencies && rm -rf /var/lib/apt/lists/*
COPY . .
RUN scripts/build build -- -Dtests=false -Dmarch="$MARCH" && /usr/bin/meson install -C build && rm -rf build
WORKDIR /work
ENTRYPOINT ["gpas"]
