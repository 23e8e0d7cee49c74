"""A row of `tradectl doctor`, and the checks that need no Redis."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common_models import ConnectorStatusEvent
from services._runtime import suite_file
from services._runtime.fault_explanations import find_explanation
from services.tradectl.status import describe_retry

TROUBLESHOOTING_HINT = "docs/troubleshooting.md lists the possible causes"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its state, what was found, and what to do (`fix`) unless it is `ok`."""

    check: str
    state: Literal["ok", "warn", "fail"]
    what: str
    fix: str = ""


def file_checks(folder: Path) -> list[Check]:
    """Check the settings files in *folder*: readable by their owner only, if they may hold keys."""
    checks = []
    dotenv, suite = folder / ".env", folder / suite_file.FILE
    for path in (dotenv, suite):
        mode = _mode(path)
        if mode is None:
            continue
        try:
            private = path == dotenv or bool(suite_file.read(path).secrets)
        except (OSError, suite_file.SuiteFileError) as e:
            checks.append(Check(path.name, "fail", str(e), "fix it: no service starts with it"))
            continue
        open_to_others = private and bool(mode & 0o077)
        fix = f"chmod 600 {path.name}: it may hold keys" if open_to_others else ""
        state: Literal["ok", "warn"] = "warn" if open_to_others else "ok"
        checks.append(Check(path.name, state, f"mode {mode:o}", fix))
    return checks


def _mode(path: Path) -> int | None:
    """The permission bits of a file; None if it does not exist."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def not_ready_checks(event: ConnectorStatusEvent) -> Iterator[Check]:
    """One warning for each part of a connector that does not work now, with cause and remedy."""
    feeds = {f"feed {s.symbol}": s for s in event.symbols if not s.works}
    waits = event.not_ready | {part: s.reason or s.state for part, s in feeds.items()}
    retries = event.retries | {part: s.retry for part, s in feeds.items() if s.retry}
    for part, why in waits.items():
        if why == "starting":
            continue
        name = f"{event.exchange}_connector {part}"
        explanation, retry = find_explanation(why), retries.get(part)
        found = (
            why if retry is None else f"{why} ({describe_retry(retry.attempt, retry.next_try_in)})"
        )
        yield Check(
            name, "warn", found, explanation.remedy if explanation else TROUBLESHOOTING_HINT
        )
    for symbol in event.symbols:
        if symbol.market_status != "trading":
            name = f"{event.exchange}_connector {symbol.symbol}"
            said = f"its market is {symbol.market_status}"
            yield Check(
                name, "warn", said, "set by the exchange; orders are accepted again when it opens"
            )
