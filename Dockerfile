# A server for CPUs; for NVIDIA GPUs: docker build --build-arg EXTRA=cuda12 .
# Without the extra serve-codecs, whose wheels hold parts under the GPL.
FROM python:3.12-slim

ARG EXTRA=serve
RUN useradd --create-home --uid 1000 indextts && mkdir /voices /cache && chown indextts /voices /cache
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY importers importers
COPY indextts_jax indextts_jax
# The source is at hand, so there is no version to pin; those of others are bounded in pyproject.toml.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[serve,${EXTRA}]" && rm -rf /src/*

USER 1000
ENV INDEXTTS_JAX_VOICES=/voices INDEXTTS_JAX_CACHE=/cache PYTHONUNBUFFERED=1
VOLUME ["/voices", "/cache"]
EXPOSE 8000
HEALTHCHECK --start-period=10m CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "indextts_jax.serve", "--checkpoint", "/model", "--host", "0.0.0.0"]
CMD ["--api_keys", "/keys.txt"]
