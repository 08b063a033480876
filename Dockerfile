# The server with gunicorn, as compose.yml starts it: docker build --tag adiuva .
# How it is run, and what it needs: docs/self-hosting.md
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS builder
RUN python -m venv /opt/adiuva
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# First what changes seldom: every package in the version and with the hash that the project has been tested with.
COPY requirements-image.lock ./
RUN /opt/adiuva/bin/pip install --require-hashes --requirement requirements-image.lock
COPY setup.py setup.cfg pyproject.toml README.md ./
COPY adiuva ./adiuva
COPY migrations ./migrations
COPY agents ./agents
COPY plugins ./plugins
RUN /opt/adiuva/bin/pip install --no-deps --no-build-isolation . ./agents/* ./plugins/*

FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/adiuva appuser
COPY --from=builder /opt/adiuva /opt/adiuva
COPY deploy/make_secrets.py /opt/adiuva/make_secrets.py
ENV PATH=/opt/adiuva/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ENV=prod \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/var/lib/adiuva \
    WEB_CONCURRENCY=1 \
    SHUTDOWN_GRACE_SECONDS=20
USER appuser
# Settings that are not in the environment are read from .env here.
WORKDIR /var/lib/adiuva
VOLUME /var/lib/adiuva
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/api/v1/health\", timeout=4)"]
# gunicorn ends with SIGTERM once what runs has ended, or its grace is over.
CMD ["gunicorn", "--config", "python:adiuva.gunicorn_conf"]
