"""`tradectl why`: shows one order hop by hop, and which hops are missing."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from rich.text import Text

from common_models import DecisionEvent
from common_models.stream_names import EventStream
from services._runtime.text_sanitizing import escape_control_characters
from services.tradectl import show
from services.tradectl.exit_codes import ExitCode, print_message
from services.tradectl.order_trace.gather import gather
from services.tradectl.order_trace.hops import Hop, build_hops
from services.tradectl.reading import utc_time
from services.tradectl.tables import WIDE, Column, Seconds, table

# The number of latest decision events that are searched for a valid one.
MAX_DECISIONS_READ = 20
ENTRY = Column("entry", wide=True)


async def why(redis: Redis, order: str | None, exchange: str | None, *, as_json: bool) -> ExitCode:
    """Show the hops of one order, or of the last decision; NO if no stream mentions it.

    Raises:
        CommandError: the connector of *exchange* was never on this Redis (NO).
    """
    order = order or await _last_decision(redis)
    if order is None:
        print_message("tradectl: no decision yet; give a CLIENT_ORDER_ID")
        return ExitCode.NO
    found = await gather(redis, order, exchange)
    if not found:
        print_message(f"tradectl: no stream here mentions the order {order!r}")
        return ExitCode.NO
    hops_by_connector = {each.connector: _rows(build_hops(each)) for each in found}
    if as_json:
        traces = [{"connector": name, "hops": rows} for name, rows in hops_by_connector.items()]
        show.as_json({"client_order_id": order, "stories": traces})
        return ExitCode.DONE
    for name, rows in hops_by_connector.items():
        table(
            f"why {escape_control_characters(order)} at {name} (times in UTC, by Redis's clock)",
            ("hop", "time", "after", Column("its own time", wide=True), "what", ENTRY),
            [_shown(row) for row in rows],
        )
    return ExitCode.DONE


async def _last_decision(redis: Redis) -> str | None:
    """The id of the bot's last decision; None if there is none."""
    entries: Any = await redis.xrevrange(
        str(EventStream("bot", "decision")), count=MAX_DECISIONS_READ
    )
    for _, fields in entries:
        with suppress(ValidationError):  # any program may write to the stream
            return DecisionEvent.model_validate_json(fields.get(b"data", b"")).decision_id
    return None


def _shown(row: dict[str, Any]) -> tuple[object, ...]:
    what = Text(escape_control_characters(("MISSING: " if row["missing"] else "") + row["what"]))
    entry = f"{row['stream']} {row['id']}" if row["stream"] else ""
    if entry and show.screen_width() < WIDE:  # the column `entry` is left out then
        what.append("\n" + escape_control_characters(entry), style="dim")
    return (
        row["hop"],
        _clock(row["time"]),
        None if row["after_ms"] is None else Seconds(row["after_ms"] / 1000),
        _clock(row["own_time"]),
        what,
        entry,
    )


def _rows(hops: list[Hop]) -> list[dict[str, Any]]:
    """The hops as JSON objects; `after_ms` is the time since the previous hop that has one."""
    rows = []
    before: int | None = None
    for hop in hops:
        at = None if hop.entry is None else hop.entry.milliseconds
        fields = {} if hop.entry is None else hop.entry.fields
        rows.append(
            {
                "hop": hop.name,
                "missing": hop.missing,
                "time": None if at is None or hop.aside else utc_time(at).isoformat(),
                "after_ms": None if at is None or before is None or hop.aside else at - before,
                "own_time": None if hop.aside else fields.get("timestamp"),
                "stream": None if hop.entry is None else hop.entry.stream,
                "id": None if hop.entry is None else hop.entry.id,
                "what": hop.text,
                "data": fields or None,
            }
        )
        if at is not None and not hop.aside:
            before = at
    return rows


def _clock(at: Any) -> str:
    """The time of day; the date is in the entry id."""
    try:
        return show.clock_time(datetime.fromisoformat(at))
    except (TypeError, ValueError):
        return ""
