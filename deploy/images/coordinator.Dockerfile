# syntax=docker/dockerfile:1
# What a coordinator needs, and an auditor: no PyTorch, no TenSEAL, no CrypTen.
#
#   docker build -f deploy/images/coordinator.Dockerfile -t veilsum-coordinator .
#
# LOCK=settlement adds what speaks to a chain. PYTHON_IMAGE is a name and not a digest, which only
# a registry can say; name one for your own builds: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG LOCK=coordinator
WORKDIR /source
RUN python -m venv --without-pip /opt/veilsum
COPY requirements ./requirements
RUN pip --python /opt/veilsum/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary :all: --requirement "requirements/${LOCK}.txt"
COPY LICENSE README.md pyproject.toml ./
COPY privacy ./privacy
COPY veilsum ./veilsum
COPY participant ./participant
COPY coordinator ./coordinator
RUN pip --python /opt/veilsum/bin/python install --no-cache-dir --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="veilsum-coordinator" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folder's owner becomes the owner of a fresh volume that is mounted there.
RUN mkdir -m 0700 /var/lib/veilsum && chown 65532:65532 /var/lib/veilsum
COPY --from=build /opt/veilsum /opt/veilsum
ENV PATH=/opt/veilsum/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /var/lib/veilsum
VOLUME /var/lib/veilsum
EXPOSE 8443 8444
HEALTHCHECK --interval=10s --timeout=7s --start-period=60s --retries=3 CMD ["python", "-m", "veilsum.health", "127.0.0.1:8081"]
ENTRYPOINT ["veilsum"]
CMD ["coordinator", "serve", "--config", "/var/lib/veilsum/coordinator/coordinator.toml"]
