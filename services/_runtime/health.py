"""`/health` (the process runs), `/ready` (it works, or why not) and `/metrics`, over HTTP."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from services._runtime.certificates import certificate_metrics
from services._runtime.lifecycle import FatalError
from services._runtime.metrics import CONTENT_TYPE, Metrics, gauges
from services._runtime.settings import ServiceSettings
from services._runtime.supervise import Retry

log = structlog.get_logger()

# An answer takes milliseconds, so a longer connection is idle. Prometheus and others reconnect.
MAX_CONNECTION_SECONDS = 60.0
# Above this, the oldest connection is closed: idle clients block no others, and use up no file
# descriptors of the service's own sockets.
MAX_CONNECTIONS = 50


class Readiness:
    """The state of a service's parts; the service is ready when every part works.

    All required parts are named at the start, so a part that never reports counts as not ready.
    """

    def __init__(self, *parts: str) -> None:
        self._reasons: dict[str, str | None] = dict.fromkeys(parts, "starting")
        self._blocked: set[str] = set()
        self._retries: dict[str, Retry] = {}

    def ok(self, part: str) -> None:
        """*part* works."""
        if self._reasons.get(part, "") is not None:
            log.info("part_ready", part=part)
        self._reasons[part] = None
        self._blocked.discard(part)
        self._retries.pop(part, None)

    def waiting(
        self, part: str, reason: str, *, blocked: bool = False, retry: Retry | None = None
    ) -> None:
        """*part* does not work, for this reason; *blocked*: until the operator changes something.

        *retry* says when it is retried, if that is known.
        """
        if self._reasons.get(part, "") is None:
            log.warning("part_not_ready", part=part, reason=reason)
        self._reasons[part] = reason
        if blocked:
            self._blocked.add(part)
        else:
            self._blocked.discard(part)
        if retry is None:
            self._retries.pop(part, None)
        else:
            self._retries[part] = retry

    def retrying(self, part: str, retry: Retry) -> None:
        """*part* does not work, and is retried."""
        self.waiting(part, retry.cause, retry=retry)

    @property
    def retries(self) -> dict[str, Retry]:
        """The parts that are retried, and when."""
        return dict(self._retries)

    @property
    def waits(self) -> dict[str, str]:
        """The parts that do not work, and why."""
        return {part: reason for part, reason in self._reasons.items() if reason is not None}

    @property
    def ready(self) -> bool:
        """True when every part works."""
        return all(reason is None for reason in self._reasons.values())

    def report(self) -> dict[str, Any]:
        """`{"ready": bool, "parts": {name: "ok" or reason}, "blocked": [name], "retries": {}}`.

        `blocked` names the parts that do not work until the operator changes something. `retries`
        has, for each part that is retried, the `cause`, the number of the failed `attempt`, and
        the seconds until the next one, `next_try_in`.
        """
        parts = {name: "ok" if reason is None else reason for name, reason in self._reasons.items()}
        retries = {
            part: {"cause": r.cause, "attempt": r.attempt, "next_try_in": r.next_try_in}
            for part, r in self._retries.items()
        }
        blocked = sorted(self._blocked)
        return {"ready": self.ready, "parts": parts, "blocked": blocked, "retries": retries}

    def metrics(self) -> Iterator[Metric]:
        """The state for Prometheus: 1 if a part works, else 0."""
        yield GaugeMetricFamily("ready", "1 if every part works, else 0.", value=float(self.ready))
        yield gauges(
            "part_ready",
            "1 if this part works, else 0.",
            ["part"],
            {part: float(reason is None) for part, reason in self._reasons.items()},
        )


@asynccontextmanager
async def health_server(
    service: str,
    settings: ServiceSettings,
    readiness: Readiness,
    metrics: Metrics,
    about: Callable[[], Mapping[str, Any]] = dict,
) -> AsyncIterator[int]:
    """Serve `/health`, `/ready` and `/metrics` while the block runs; yields the port.

    `/health` includes the fields that *about* returns.

    Raises:
        FatalError: the port is in use, or the address is not one of this machine.
    """

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive", "service": service, **about()})

    async def ready(_: web.Request) -> web.Response:
        report = {"service": service, **readiness.report()}
        return web.json_response(report, status=200 if readiness.ready else 503)

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=await metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    metrics.watch(readiness.metrics)
    metrics.watch(partial(certificate_metrics, settings.redis_url))
    app = web.Application()
    routes = {"/health": health, "/ready": ready, "/metrics": page}
    app.add_routes([web.get(path, answer) for path, answer in routes.items()])
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            server = await asyncio.get_running_loop().create_server(
                _bounded(cast("web.Server", runner.server)),
                settings.health_host,
                settings.health_port,
            )
        except OSError as e:
            raise FatalError(
                f"HEALTH_HOST={settings.health_host} HEALTH_PORT={settings.health_port}: "
                f"{e.strerror or e}; expected an address of this machine and a free port, "
                "or port 0 for any"
            ) from e
        port: int = server.sockets[0].getsockname()[1]
        log.info("health_served", port=port)
        try:
            yield port
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _is_our_fault(record: logging.LogRecord) -> bool:
    """False for errors in a client's request: it gets a 400, and there may be thousands."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def _bounded(server: web.Server) -> Callable[[], asyncio.Protocol]:
    """A connection factory that limits the number and the duration of *server*'s connections."""
    loop = asyncio.get_running_loop()
    latest: deque[web.RequestHandler] = deque()

    def connection() -> asyncio.Protocol:
        new = server()
        loop.call_later(MAX_CONNECTION_SECONDS, _end, new)
        latest.append(new)
        if len(latest) > MAX_CONNECTIONS:
            loop.call_soon(_end, latest.popleft())  # later: it may not be open yet
        return new

    return connection


def _end(connection: web.RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()
