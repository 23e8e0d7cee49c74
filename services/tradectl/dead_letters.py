"""`tradectl dead-letters`: commands that a connector could not parse."""

from typing import Any

from redis.asyncio import Redis

from services._runtime.entry_ids import is_entry_id
from services.tradectl import show
from services.tradectl.exit_codes import CommandError, ExitCode
from services.tradectl.reading import (
    StreamEntry,
    entries_with_field,
    entry_at,
    newest_first,
    streams,
    utc_time,
)
from services.tradectl.tables import Column, table

STREAMS = "*:dead_letter:*"
MAX_CONTENT_LENGTH = 60


async def list_dead_letters(redis: Redis, count: int, *, as_json: bool) -> ExitCode:
    """Show the *count* newest dead letters of each command stream, newest first."""
    rows: list[dict[str, Any]] = []
    for stream in await streams(redis, STREAMS):
        found: list[StreamEntry] = []
        async for entry in newest_first(redis, stream):
            found.append(entry)
            if len(found) == count:
                break
        rows += [_row(entry) for entry in found]
    if as_json:
        show.as_json(rows)
        return ExitCode.DONE
    table(
        "dead letters" if rows else "no dead letters",
        ("id", "stream", Column("command's id", wide=True), "error", Column("content", wide=True)),
        [
            (r["id"], r["stream"], r["entry_id"], r["error"], _shortened(str(r["content"])))
            for r in rows
        ],
    )
    return ExitCode.DONE


async def show_dead_letter(redis: Redis, entry_id: str, *, as_json: bool) -> ExitCode:
    """Show one dead letter in full, by its own entry id or by that of the command.

    Raises:
        CommandError: there is no such dead letter (NO).
    """
    found: list[dict[str, Any]] = []
    for stream in await streams(redis, STREAMS):
        entry = await entry_at(redis, stream, entry_id) if is_entry_id(entry_id) else None
        if entry is not None:
            found.append(_row(entry))
            continue
        found += [
            _row(each) for each in await entries_with_field(redis, stream, "entry_id", entry_id)
        ]
    if not found:
        raise CommandError(
            ExitCode.NO, f"no dead letter {entry_id!r}; `tradectl dead-letters list`"
        )
    if as_json:
        show.as_json(found)
        return ExitCode.DONE
    for row in found:
        for name, value in row.items():
            show.line(f"{name + ':':<10} {value}")
    return ExitCode.DONE


def _row(entry: StreamEntry) -> dict[str, Any]:
    fields = entry.fields
    return {
        "id": entry.id,
        "stream": entry.stream,
        "time": utc_time(entry.milliseconds).isoformat(),
        "entry_id": fields.get("entry_id"),
        "error": fields.get("error"),
        "encoding": fields.get("encoding"),
        "content": fields.get("content"),
    }


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CONTENT_LENGTH else text[:MAX_CONTENT_LENGTH] + "..."
