# One image for all services; the command says which: `python -m services.<name>`.

FROM python:3.13-slim AS packages
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
# Wheels with the pinned hashes and nothing else: no package's setup code runs.
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: -r /tmp/requirements.lock

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY common_models common_models
COPY services services
RUN python -m compileall -q /opt/venv /app
# A number, so that an orchestrator can see that it isn't root.
USER 10001:10001
ENTRYPOINT ["python", "-m"]
CMD ["services.bot"]
