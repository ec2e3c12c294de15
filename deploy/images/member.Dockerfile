# syntax=docker/dockerfile:1
# What a site needs: PyTorch for processors, Opacus, TenSEAL. LOCK=seat makes a seat's image instead.
#
#   docker build -f deploy/images/member.Dockerfile -t veilsum-site .
#   docker build -f deploy/images/member.Dockerfile --build-arg LOCK=seat -t veilsum-seat .
#
# Your own class that brings data and model goes into an image made FROM this one, or is mounted
# and named by PYTHONPATH. PYTHON_IMAGE is a name and not a digest, which only a registry can say;
# name one for your own builds: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG LOCK=participant
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
RUN python -m venv --without-pip /opt/veilsum
COPY requirements ./requirements
RUN pip --python /opt/veilsum/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary :all: --index-url "${TORCH_INDEX}" --requirement requirements/torch.txt \
    && pip --python /opt/veilsum/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary :all: --requirement "requirements/${LOCK}.txt"
COPY LICENSE README.md pyproject.toml ./
COPY privacy ./privacy
COPY veilsum ./veilsum
COPY participant ./participant
COPY coordinator ./coordinator
RUN pip --python /opt/veilsum/bin/python install --no-cache-dir --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="veilsum-member" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folder's owner becomes the owner of a fresh volume that is mounted there.
RUN mkdir -m 0700 /var/lib/veilsum && chown 65532:65532 /var/lib/veilsum
COPY --from=build /opt/veilsum /opt/veilsum
ENV PATH=/opt/veilsum/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /var/lib/veilsum
VOLUME /var/lib/veilsum
# A member opens no port that could be asked: one that cannot go on ends, and says why by its status.
HEALTHCHECK NONE
ENTRYPOINT ["veilsum"]
CMD ["participant", "run", "--config", "/var/lib/veilsum/participant/site.toml"]
