# The image of web, gateway, worker and scheduler; compose.yaml says which is which. Packages come from the lock
# with their hashes; the process has no rights on its own code.
FROM python:3.11-slim AS packages
WORKDIR /build
COPY requirements-uv.txt requirements.txt ./
RUN python -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --only-binary :all: \
       --require-hashes -r requirements-uv.txt \
    && python -m venv --without-pip /opt/arm \
    && /opt/uv/bin/uv pip sync --no-cache --require-hashes --compile-bytecode --python /opt/arm/bin/python \
       requirements.txt

FROM python:3.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
       libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin arm
COPY --from=packages /opt/arm /opt/arm
WORKDIR /srv/arm
COPY . .
ENV PATH=/opt/arm/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=arm.settings \
    ARM_STATIC_ROOT=/srv/arm/staticfiles
# Needs no secret and no database: the files are the same in every deployment.
RUN ARM_PRODUCTION=0 python manage.py collectstatic --noinput --verbosity 0
USER arm
EXPOSE 8000 8001
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", \
     "--blocking-threads", "4", "--no-ws", "--respawn-failed-workers", "--workers-kill-timeout", "10", \
     "arm.wsgi:application"]
