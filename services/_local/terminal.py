"""Messages of the launcher on the terminal."""

import sys
from pathlib import Path
from typing import Any

from services._local.processes import ManagedProcess, parse_log_line

SHOWN_LEVELS = frozenset({"warning", "error", "critical"})
HIDDEN_FIELDS = frozenset({"event", "level", "timestamp", "service", "exception"})
MAX_VALUE_LENGTH = 120
# Errors have a cause and a remedy, so they may be longer.
MAX_ERROR_LENGTH = 500
ON_SCREEN = frozenset({"market_summary", "decision"})


def print_message(text: str) -> None:
    """Print one message and flush."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class LogTail:
    """Prints the new lines of a service's log.

    With a screen, events that the screen shows are left out.
    """

    def __init__(self, service: str, log: Path, *, has_screen: bool = False) -> None:
        self._on_screen = ON_SCREEN if has_screen else frozenset()
        self._service = service
        self._log = log
        self._read = 0
        self._stopping = False

    def show(self) -> None:
        """Print the relevant lines since the last call."""
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines, end, _ = log.read().rpartition(b"\n")
        self._read += len(lines) + len(end)
        for line in lines.decode(errors="replace").splitlines():
            record = parse_log_line(line)
            # Warnings after a stop signal are consequences of the stop.
            self._stopping = self._stopping or record.get("event") == "service_stopping"
            if self._stopping and record.get("level") == "warning":
                continue
            if record.get("event") in self._on_screen:
                continue
            if text := shown(self._service, line):
                print_message(text + self._where(record))

    def _where(self, record: dict[str, Any]) -> str:
        """The exception, the line of code that raised it, and the log with the full traceback."""
        match record.get("exception"):
            case [{"exc_type": kind, "exc_value": text, "frames": [*_, innermost]}, *_]:
                at = f"{innermost['filename']}:{innermost['lineno']}"
                return f"\n  {kind}: {_short(text)}, at {at}; full traceback: {self._log}"
        return ""


def usage_hints(
    ready: str, redis_cli: str, stream: str, processes: list[ManagedProcess], folder: Path
) -> str:
    """Printed once everything is ready."""
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    health = "\n".join(
        f"    {service.ready_url}  {service.name}, process {service.pid}" for service in processes
    )
    tradectl = Path(sys.executable).parent / "tradectl"
    if tradectl.is_relative_to(Path.cwd()):
        tradectl = tradectl.relative_to(Path.cwd())
    return f"""
{ready}

  Watch trades arrive:
    {redis_cli} XREAD COUNT 5 BLOCK 5000 STREAMS {stream} '$'
  List all streams:
    {redis_cli} --scan --type stream
  The last decision, the positions and the profit, without redis-cli:
    {tradectl} why; {tradectl} positions; {tradectl} pnl
  Ask how they are:
{health}
  Stop all new orders, and cancel what is open:
    make halt REASON="a trial"
  Kill any of these processes, and see it come back: kill -9 and its number
  Logs, one file each:
    {folder}
"""


def shown(service: str, line: str) -> str | None:
    """A log line of *service* for the terminal; None if it is for the file only.

    The bot's summaries and decisions are shown, and warnings and errors of all services.
    """
    record = parse_log_line(line)
    if not record:
        return f"{service}: {line}" if line.strip() else None
    if record.get("event") == "market_summary":
        return summary(record)
    if record.get("event") == "decision":
        return decision(record)
    if record.get("level") not in SHOWN_LEVELS:
        return None
    fields = [
        f"{k}={_short(v, MAX_ERROR_LENGTH if k == 'error' else MAX_VALUE_LENGTH)}"
        for k, v in record.items()
        if k not in HIDDEN_FIELDS
    ]
    return " ".join([f"{service}: {record['level']}: {record.get('event')}", *fields])


def _short(value: Any, most: int = MAX_VALUE_LENGTH) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def summary(record: dict[str, Any]) -> str:
    """The bot's `market_summary` as a table."""
    when = str(record.get("timestamp", ""))[11:19]
    head = f"{when} {record['fresh']} of {record['of']} market streams are fresh"
    if record["malformed"] or record["gaps"]:
        head += f"; {record['malformed']} malformed entries, {record['gaps']} gaps"
    rows = [_row(name, feed, record["stale"]) for name, feed in record["streams"].items()]
    return "\n".join([head, *rows])


def decision(record: dict[str, Any]) -> str | None:
    """A decision of the bot and its outcome; None for intermediate events."""
    when = str(record.get("timestamp", ""))[11:19]
    head = f"{when} {record['strategy']}: {record['side']} {record['quantity']:g}"
    match record["outcome"], record.get("order_status"):
        case ("sent" | "observed") as outcome, _:
            return f"{head}, {outcome}: {record['reason']}"
        case "refused", _:
            return f"{head}, refused: {record['refusal']}"
        case "lost", _:
            return f"{head}, lost: {record['refusal']}"
        case "updated", "filled":
            return f"{head}, filled at {record['average_price']:,.10g}"
        case _:
            return None


def _row(name: str, feed: dict[str, Any], stale: list[str]) -> str:
    age = "never" if feed["age"] is None else f"{feed['age']:.1f} s ago"
    prices = ((key, feed.get(key)) for key in ("last_price", "bid", "ask"))
    quoted = "  ".join(
        f"{key.removesuffix('_price')} {price:,.10g}" for key, price in prices if price is not None
    )
    mark = "  STALE" if name in stale else ""
    return f"  {name:<28}{age:>10}  {feed['entries']:>6} new  {quoted}{mark}"
