# Conduit with its dashboard, for `docker build .`. tools/image/steps.py runs every step of it in a bare Debian
# without an engine.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source

# What the server needs, by hash, into the environment that the image gets. It changes seldom: a layer of its own.
COPY requirements/image.txt requirements/
RUN python3 -m venv --without-pip /opt/conduit && python3 -m venv /opt/build
RUN /opt/build/bin/pip --python /opt/conduit/bin/python install --require-hashes -r requirements/image.txt

# What builds: Node.js and hatchling, as Python packages, and what the pages are made with.
COPY requirements/build.txt requirements/dashboard.txt requirements/
RUN /opt/build/bin/pip install --require-hashes -r requirements/build.txt -r requirements/dashboard.txt
COPY dashboard/package.json dashboard/package-lock.json dashboard/.npmrc dashboard/
RUN PATH=/opt/build/bin:$PATH npm --prefix dashboard ci --no-audit --no-fund

COPY pyproject.toml README.md LICENSE ./
COPY tools tools
COPY dashboard dashboard
COPY src src
RUN PATH=/opt/build/bin:$PATH PYTHONPATH=src /opt/conduit/bin/python -m tools.dashboard build
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /wheel \
    && /opt/build/bin/pip --python /opt/conduit/bin/python install --no-deps /wheel/*.whl

FROM python:3.11-slim-bookworm AS server
LABEL org.opencontainers.image.title="Conduit" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin conduit \
    && install --directory --owner conduit --group conduit --mode 700 /data
COPY --from=build /opt/conduit /opt/conduit
ENV PATH=/opt/conduit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATABASE_URL=sqlite:////data/conduit.db \
    CONDUIT_ADMIN_KEY_FILE=/data/admin-key
USER 10001:10001
WORKDIR /data
EXPOSE 8080
# As the port may be another one, it is the server that is asked where it is: PORT.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "exec conduit health --url http://127.0.0.1:${PORT:-8080} --output json"]
STOPSIGNAL SIGTERM
CMD ["conduit", "serve"]
