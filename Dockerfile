# One image for every process of Proventrail: `docker compose build`, or `docker build --tag proventrail:VERSION .`
FROM python:3.11-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY . .
RUN python -m venv /opt/proventrail \
    && /opt/proventrail/bin/pip install --constraint constraints.txt '.[server,postgres]' \
    && /opt/proventrail/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/proventrail --create-home proventrail
COPY --from=build /opt/proventrail /opt/proventrail
ENV PATH=/opt/proventrail/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/proventrail
ENTRYPOINT ["proventrail"]
