# quantlab with all that it needs: `docker build -t quantlab .`; nothing is fetched when it runs.
#   docker run --rm --network none -v "$PWD:/work" quantlab demo
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY . .
# The pip of the lock knows constraints for builds.
RUN python -m venv /opt/quantlab \
 && /opt/quantlab/bin/pip install --no-cache-dir --constraint requirements.lock --upgrade pip \
 && /opt/quantlab/bin/pip install --no-cache-dir --constraint requirements.lock --build-constraint requirements-build.lock ".[litert-quantizer]"

FROM python:3.11-slim-bookworm
# The runtimes chromium-* use Debian's browser; build with --build-arg BROWSER= to leave it out.
ARG BROWSER=chromium
RUN if [ -n "$BROWSER" ]; then \
      apt-get update && apt-get install --yes --no-install-recommends $BROWSER && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/quantlab /opt/quantlab
ENV PATH=/opt/quantlab/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --create-home quantlab && mkdir /work && chown quantlab /work
USER quantlab
WORKDIR /work
ENTRYPOINT ["quantlab"]
