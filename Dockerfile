# quantlab with all that it needs: `docker build -t quantlab .`; nothing is fetched when it runs.
#   docker run --rm --network none -v "$PWD:/work" quantlab demo
# docs/guides/containers.md says more; `python -m tests.container` builds and tries it, with Docker or without.
FROM python:3.11-slim-bookworm AS build
# Extras of pyproject.toml, with commas: --build-arg EXTRAS=dask,s3,parquet
ARG EXTRAS=litert-quantizer
WORKDIR /source
COPY . .
# The pip of the lock knows constraints for builds.
RUN python -m venv /opt/quantlab \
 && /opt/quantlab/bin/pip install --no-cache-dir --constraint requirements.lock --upgrade pip \
 && /opt/quantlab/bin/pip install --no-cache-dir --constraint requirements.lock --build-constraint requirements-build.lock ".${EXTRAS:+[$EXTRAS]}"

# The S3 server of compose.yaml, without quantlab. It keeps its buckets in memory.
FROM python:3.11-slim-bookworm AS s3-server
WORKDIR /source
COPY pyproject.toml requirements.lock ./
RUN python -m venv /opt/s3-server \
 && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['s3-server'], sep='\n')" >asked \
 && /opt/s3-server/bin/pip install --no-cache-dir --constraint requirements.lock --requirement asked
ENV PATH=/opt/s3-server/bin:$PATH PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["moto_server"]
CMD ["--host", "0.0.0.0", "--port", "9000"]

FROM python:3.11-slim-bookworm
# The runtimes chromium-* use Debian's browser; build with --build-arg BROWSER= to leave it out.
ARG BROWSER=chromium
RUN if [ -n "$BROWSER" ]; then \
      apt-get update && apt-get install --yes --no-install-recommends $BROWSER && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/quantlab /opt/quantlab
ENV PATH=/opt/quantlab/bin:$PATH PYTHONUNBUFFERED=1 HOME=/home/quantlab
# A mounted folder belongs to a user of the host, so both folders are for any user: --user "$(id -u):$(id -g)"
RUN useradd --uid 1000 --create-home quantlab && mkdir /work && chmod 1777 /work /home/quantlab
USER quantlab
WORKDIR /work
ENTRYPOINT ["quantlab"]
