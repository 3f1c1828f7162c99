# syntax=docker/dockerfile:1
# The `loadgen` command: docker build -t loadgen . && docker run --rm loadgen plan ports --rate 500 --clients 1
# Files come and go through /work: docker run --rm -v "$PWD:/work" loadgen run scenario.toml -O page.html
ARG PYTHON=3.13

FROM python:${PYTHON}-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/tcpcore-*.whl)[report]" \
    && rm -r /wheels \
    && useradd --uid 1000 --create-home loadgen \
    && install --directory --owner loadgen /work
# Also with `docker run --user "$(id -u)"`, whose user has no home.
ENV MPLCONFIGDIR=/tmp
USER 1000
WORKDIR /work
ENTRYPOINT ["loadgen"]
CMD ["--help"]
