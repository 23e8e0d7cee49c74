"""`tradectl tail`: decoded entries of any streams, as they arrive."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import IndicatorStream, MarketStream, joined
from services._runtime.durations import parse_duration
from services._runtime.entry_ids import is_entry_id
from services._runtime.redis_client import BLOCK_MS
from services.tradectl import show
from services.tradectl.exit_codes import CommandError, ExitCode
from services.tradectl.output import output_error
from services.tradectl.reading import (
    StreamEntry,
    last_ids,
    parse_name,
    read_new,
    redis_time,
    streams,
    utc_time,
)

GLOB = re.compile(r"[*?\[]")
IDS = (
    "client_order_id",
    "order_id",
    "client_request_id",
    "decision_id",
    "command_id",
    "trade_id",
)
# Seconds between two searches for new streams that match a glob.
DISCOVERY_INTERVAL = 2.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries to show: of a symbol, with an id. None: any."""

    symbol: str | None = None
    id: str | None = None

    def matches(self, entry: StreamEntry) -> bool:
        """True if the entry is about the symbol and contains the id."""
        fields = entry.fields
        return self._symbol_fits(entry, fields) and (
            self.id is None
            or entry.id == self.id
            or any(fields.get(name) == self.id for name in IDS)
        )

    def _symbol_fits(self, entry: StreamEntry, fields: dict[str, Any]) -> bool:
        if self.symbol is None:
            return True
        pair = joined(self.symbol)
        name = parse_name(entry.stream)
        if isinstance(name, MarketStream | IndicatorStream):
            return name.pair == pair
        return joined(str(fields.get("symbol") or "")) == pair


async def parse_start(redis: Redis, text: str) -> str | None:
    """The entry id to read after, from the option `--from`; None: only new entries.

    Raises:
        CommandError: *text* has none of the forms (USAGE).
    """
    if text == "new":
        return None
    if text in ("0", "all"):
        return "0-0"
    if is_entry_id(text):
        return text
    if (seconds := parse_duration(text, "smhd")) is not None:
        return _before(await redis_time(redis) - seconds * 1000)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError(
            ExitCode.USAGE,
            f"--from {text!r}: expected new, all, an entry id, a time ago such as 90s, 5m, 2h, 1d, "
            "or a time with its zone such as 2026-11-22T12:00:00Z",
        )
    return _before(at.timestamp() * 1000)


def _before(milliseconds: float) -> str:
    """The largest id before *milliseconds*: reading after it starts at that time."""
    return f"{max(0, int(milliseconds) - 1)}-18446744073709551615"


async def tail(
    redis: Redis,
    patterns: Sequence[str],
    start: str,
    wanted: Filter,
    *,
    count: int | None,
    follow: bool,
    as_json: bool,
) -> ExitCode:
    """Show entries of the matching streams, until *count* were shown or for ever.

    Raises:
        CommandError: no stream matches, and *follow* is off (NO).
    """
    first = await parse_start(redis, start)
    positions = await _positions(redis, patterns, first)
    if not positions and not follow:
        raise CommandError(ExitCode.NO, f"no stream matches {' '.join(patterns)}")
    shown = 0
    look_at = time.monotonic() + DISCOVERY_INTERVAL
    while True:
        # A stream that appears later is read from its beginning: all of it is new.
        if follow and time.monotonic() >= look_at:
            look_at = time.monotonic() + DISCOVERY_INTERVAL
            found = await _positions(redis, patterns, "0-0")
            positions |= {name: at for name, at in found.items() if name not in positions}
        entries = await _read(redis, positions, follow=follow)
        if not entries and not follow:
            return ExitCode.DONE
        # XREAD replies stream by stream: sort the entries of one reply by time.
        for entry in sorted(entries, key=lambda entry: entry.sort_key):
            if wanted.matches(entry):
                _show(entry, as_json=as_json)
                shown += 1
                if shown == count or output_error():
                    return ExitCode.DONE


async def _positions(redis: Redis, patterns: Sequence[str], start: str | None) -> dict[str, str]:
    names: list[str] = []
    for pattern in patterns:
        # A name without a glob is followed even if the stream does not exist yet.
        names += await streams(redis, pattern) if GLOB.search(pattern) else [pattern]
    return await last_ids(redis, names) if start is None else dict.fromkeys(names, start)


async def _read(redis: Redis, positions: dict[str, str], *, follow: bool) -> list[StreamEntry]:
    if positions:
        return await read_new(redis, positions, BLOCK_MS if follow else None)
    # Nothing matches yet: XREAD needs a stream, so one that can't be stands in for it.
    return await read_new(redis, {"tradectl:nothing": "0-0"}, BLOCK_MS)


def _show(entry: StreamEntry, *, as_json: bool) -> None:
    validation_error = entry.validation_error()
    if as_json:
        text = entry.data.decode("utf-8", "replace")
        found: dict[str, Any] = {
            "stream": entry.stream,
            "id": entry.id,
            "time": utc_time(entry.milliseconds).isoformat(),
            "data": entry.fields or text,
        }
        show.as_json(found | ({"fault": validation_error} if validation_error else {}), indent=None)
        return
    fields = {name: value for name, value in entry.fields.items() if name != "exchange"}
    said = show.summary(fields) if fields else entry.data.decode("utf-8", "replace")
    warning = f"NOT VALID ({validation_error}) " if validation_error else ""
    show.line(f"{show.clock_time(utc_time(entry.milliseconds))} {entry.stream} {warning}{said}")
