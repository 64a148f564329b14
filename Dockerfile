# jaxdl in an image, for CPU:
#   docker build --tag jaxdl .
#   docker run --rm --volume "$PWD:/work" jaxdl python study.py
# `--build-arg EXTRA='[cuda]'` makes one for NVIDIA GPUs (`docker run --gpus all`), `'[tpu]'` one for
# Cloud TPU.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY jaxdl jaxdl
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
ARG EXTRA=""
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/jaxdl-*.whl)$EXTRA"
# Not as root: the user 1000 must be allowed to write where run folders lie, which is what /work is
# mounted from.
RUN useradd --create-home --uid 1000 jaxdl && install --directory --owner=1000 /work
USER 1000
WORKDIR /work
CMD ["jaxdl", "--help"]
