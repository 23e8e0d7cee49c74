"""`tradectl status`: services, connectors, feeds, and the age of each market stream."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from pydantic import ValidationError
from redis.asyncio import Redis

from common_models import ConnectorStatusEvent, SymbolStatus
from common_models.stream_names import MARKET_DATA_TYPES, EventStream, MarketStream
from services._runtime.halt import read_halt_reason
from services.tradectl import show
from services.tradectl.exit_codes import ExitCode
from services.tradectl.reading import StreamEntry, connectors, newest, redis_time, utc_time
from services.tradectl.sending import GONE_AFTER
from services.tradectl.tables import Column, Seconds, table
from services.tradectl.target import no_connector_message

READY_TIMEOUT = 3.0
SIMULATOR = "exchange_simulator"
FEED = "exchange symbol state market since silent_s trades_lost why"
FEED_COLUMNS = (
    *("exchange", "symbol", "state", "market", Column("since", wide=True)),
    *("silent at most", "trades lost", "why"),
)


@dataclass(frozen=True, slots=True)
class LatestStatus:
    """A connector's latest status, and its `age` in seconds; `event`: None if it is invalid."""

    name: str
    event: ConnectorStatusEvent | None
    age: float

    @property
    def gone(self) -> bool:
        """True if the status is older than a running connector's would be."""
        return self.age > GONE_AFTER


async def latest_statuses(redis: Redis) -> list[LatestStatus]:
    """The latest status of every connector that ever published one on this Redis."""
    now = await redis_time(redis)
    found = []
    for name in await connectors(redis):
        last = await newest(redis, str(EventStream(name, "connector_status")))
        if last is not None:
            found.append(LatestStatus(name, _event(last), (now - last.milliseconds) / 1000))
    return found


def _event(entry: StreamEntry) -> ConnectorStatusEvent | None:
    try:
        return ConnectorStatusEvent.model_validate_json(entry.data)
    except ValidationError:
        return None


async def status(redis: Redis, urls: dict[str, str], *, as_json: bool) -> ExitCode:
    """Show the state of everything; DONE if all of it works, else NO."""
    statuses = await latest_statuses(redis)
    services = await _services(urls)
    if not any(each.event and each.event.world == "simulator" for each in statuses):
        # Without simulated connectors, a simulator that does not run is not a fault.
        services = [s for s in services if s["service"] != SIMULATOR or s["state"] != "no answer"]
    feeds = [
        _feed(each, symbol) for each in statuses if each.event for symbol in each.event.symbols
    ]
    streams = await _streams(redis, statuses)
    reason = await read_halt_reason(redis)
    if as_json:
        found = {
            "halted": reason,
            "services": services,
            "connectors": [_connector(each) for each in statuses],
            "feeds": feeds,
            "streams": streams,
        }
        show.as_json(found)
    else:
        _show(services, statuses, feeds, streams, no_connector_message(redis))
        if reason is not None:
            show.line(f"HALTED: {reason}")
    healthy = (
        bool(statuses)
        and all(service["state"] == "ready" for service in services)
        and all(feed["state"] in ("live", "polled") for feed in feeds)
        and not any(each.gone or each.event is None for each in statuses)
    )
    return ExitCode.DONE if healthy else ExitCode.NO


def _show(
    services: list[dict[str, Any]],
    statuses: list[LatestStatus],
    feeds: list[dict[str, Any]],
    streams: list[dict[str, Any]],
    nobody: str,
) -> None:
    table(
        "services",
        ("service", "state", "why"),
        [_values(row, "service state why") for row in services],
    )
    table(
        "connectors" if statuses else nobody,
        ("connector", "state", "silent for", "world", "trading", "dropped"),
        [
            _values(_connector(each), "connector state silent_s world trading dropped")
            for each in statuses
        ],
    )
    table(
        "feeds",
        FEED_COLUMNS,
        [_values(row, FEED) for row in feeds],
    )
    table(
        "market streams (lag: from the exchange's own time until it was in Redis)",
        ("stream", "age of newest", "lag", "entries"),
        [_values(row, "stream age_s lag_s entries") for row in streams],
    )


def _values(row: dict[str, Any], names: str) -> list[Any]:
    return [_shown(name, row[name]) for name in names.split()]


def _shown(name: str, value: Any) -> Any:
    """Values whose name ends in `_s` as durations."""
    return Seconds(value) if name.endswith("_s") and value is not None else value


async def _services(urls: dict[str, str]) -> list[dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=READY_TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as http, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_ask(http, name, url)) for name, url in urls.items()]
    return [task.result() for task in asked]


async def _ask(http: aiohttp.ClientSession, name: str, url: str) -> dict[str, Any]:
    try:
        async with http.get(f"{url}/ready") as response:
            report: Any = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as e:
        return {"service": name, "state": "no answer", "why": f"{url}: {e.__class__.__name__}"}
    if not isinstance(report, dict) or report.get("service") != name:
        return {
            "service": name,
            "state": "no answer",
            "why": f"{url} is answered by another service",
        }
    parts: dict[str, Any] = report.get("parts") or {}
    retries: dict[str, Any] = report.get("retries") or {}
    waits = [
        f"{part}: {reason}{_when(retries.get(part))}"
        for part, reason in parts.items()
        if reason != "ok"
    ]
    state = "ready" if report.get("ready") is True else "not ready"
    return {"service": name, "state": state, "why": "; ".join(waits)}


def describe_retry(attempt: int, next_try_in: float) -> str:
    """The number of the failed attempt, and the time until the next."""
    return f"attempt {attempt}, next try in {show.span(next_try_in)}"


def _when(retry: Any) -> str:
    match retry:
        case {"attempt": int(attempt), "next_try_in": int() | float() as seconds}:
            return f" ({describe_retry(attempt, seconds)})"
    return ""


def _connector(statuses: LatestStatus) -> dict[str, Any]:
    event = statuses.event
    found = {
        "connector": statuses.name,
        "state": "gone" if statuses.gone else "ok" if event else "unreadable",
        "silent_s": round(statuses.age, 3),
    }
    if event is None:
        return {**found, "world": None, "trading": None, "dropped": None}
    return {
        **found,
        "world": event.world,
        "trading": "yes" if event.trading else f"no: {event.reason_code}",
        "dropped": event.entries_dropped,
    }


def _feed(statuses: LatestStatus, symbol: SymbolStatus) -> dict[str, Any]:
    age = symbol.last_message_age
    return {
        "exchange": statuses.name.removesuffix("_connector"),
        "symbol": symbol.symbol,
        # The last status of a connector that is gone no longer holds.
        "state": "gone" if statuses.gone else symbol.state,
        "since": symbol.since.isoformat(timespec="seconds"),
        "silent_s": None if age is None else round(age + statuses.age, 3),
        "trades_lost": symbol.trades_lost,
        "market": symbol.market_status,
        "why": symbol.reason or "",
    }


async def _streams(redis: Redis, statuses: list[LatestStatus]) -> list[dict[str, Any]]:
    rows = []
    for each in statuses:
        for symbol in each.event.symbols if each.event else ():
            for data_type in MARKET_DATA_TYPES:
                exchange = each.name.removesuffix("_connector")
                rows.append(
                    await _stream(redis, MarketStream.of(exchange, symbol.symbol, data_type))
                )
    return rows


async def _stream(redis: Redis, name: MarketStream) -> dict[str, Any]:
    last = await newest(redis, str(name))
    row: dict[str, Any] = {"stream": str(name), "age_s": None, "lag_s": None, "entries": 0}
    if last is None:
        return row
    row["age_s"] = round((await redis_time(redis) - last.milliseconds) / 1000, 3)
    row["entries"] = await redis.xlen(str(name))
    try:
        exchange_time = datetime.fromisoformat(str(last.fields.get("timestamp")))
        row["lag_s"] = round((utc_time(last.milliseconds) - exchange_time).total_seconds(), 3)
    except (ValueError, TypeError):  # not a time, or a time without a zone
        row["lag_s"] = None
    return row
