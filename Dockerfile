# One image for all services; the command says which: `python -m services.<name>`.

# A digest pins it to the byte: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS packages
# Without pip, which nobody needs at run time.
RUN python -m venv --without-pip /opt/venv
COPY requirements.lock /tmp/requirements.lock
# Wheels with the pinned hashes and nothing else: no package's setup code runs.
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: -r /tmp/requirements.lock
WORKDIR /app
COPY common_models common_models
COPY services services
# What `tradectl --version` says: --build-arg COMMIT=$(git rev-parse --short=12 HEAD)
ARG COMMIT=
RUN printf '%s' "$COMMIT" > services/COMMIT
RUN /opt/venv/bin/python -m compileall -q /opt/venv /app
# The console script tradectl, as `make setup` puts it into .venv/bin.
RUN printf '#!/bin/sh\ncd /app && exec /opt/venv/bin/python -m services.tradectl "$@"\n' > /opt/venv/bin/tradectl \
    && chmod 755 /opt/venv/bin/tradectl

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=packages /opt/venv /opt/venv
COPY --from=packages /app /app
WORKDIR /app
# A number, so that an orchestrator can see that it isn't root.
USER 10001:10001
ENTRYPOINT ["python", "-m"]
CMD ["services.bot"]
