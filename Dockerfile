# syntax=docker/dockerfile:1
# docker build --build-arg TOFU_VERSION=1.9.0 -t stationkeeper .
#
# The image contains no tools of its own. Name the versions to add; each download is checked against the published
# checksums. docs/operations.md says how to run the image.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS tools
ARG TARGETARCH=amd64
ARG TERRAFORM_VERSION=
ARG TOFU_VERSION=
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl unzip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /download
RUN set -eu; mkdir /tools; \
    if [ -n "$TERRAFORM_VERSION" ]; then \
      base="https://releases.hashicorp.com/terraform/${TERRAFORM_VERSION}"; \
      file="terraform_${TERRAFORM_VERSION}_linux_${TARGETARCH}.zip"; \
      curl -fsSLO "$base/$file"; \
      curl -fsSL "$base/terraform_${TERRAFORM_VERSION}_SHA256SUMS" | grep " $file\$" > sums; \
      sha256sum -c sums; \
      unzip -q "$file" terraform -d /tools; \
    fi
RUN set -eu; \
    if [ -n "$TOFU_VERSION" ]; then \
      base="https://github.com/opentofu/opentofu/releases/download/v${TOFU_VERSION}"; \
      file="tofu_${TOFU_VERSION}_linux_${TARGETARCH}.zip"; \
      curl -fsSLO "$base/$file"; \
      curl -fsSL "$base/tofu_${TOFU_VERSION}_SHA256SUMS" | grep " $file\$" > sums; \
      sha256sum -c sums; \
      unzip -q "$file" tofu -d /tools; \
    fi

FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /source
COPY . .
# Set this to nothing for an image without ansible.
ARG EXTRAS=[ansible]
RUN python -m venv /opt/stationkeeper \
 && /opt/stationkeeper/bin/pip install --no-cache-dir --disable-pip-version-check ".${EXTRAS}"

FROM python:${PYTHON_VERSION}-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap ca-certificates openssh-client tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin station \
 && install -d -o station -g station -m 0700 /data
COPY --from=tools /tools/ /usr/local/bin/
COPY --from=build /opt/stationkeeper /opt/stationkeeper
ENV PATH=/opt/stationkeeper/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    STATION_DATA_DIR=/data
USER station
WORKDIR /data
# The service writes only here and in /tmp: the rest may be read-only.
VOLUME /data
EXPOSE 8420
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8420/healthz', timeout=4).close()"]
# tini reaps orphaned processes and forwards signals.
ENTRYPOINT ["tini", "--", "station"]
CMD ["serve"]
