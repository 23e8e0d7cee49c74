"""What `tradectl doctor` finds: a row of its table, and the checks that need no Redis."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common_models import ConnectorStatusEvent
from services._runtime import suite_file
from services._runtime.fault_explanations import find_explanation
from services.tradectl.status import describe_retry

TROUBLESHOOTING_HINT = "docs/troubleshooting.md says what it may be"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at; `fix` says what to do where it isn't `ok`."""

    check: str
    state: Literal["ok", "warn", "fail"]
    what: str
    fix: str = ""


def file_checks(folder: Path) -> list[Check]:
    """The files with settings in *folder*; `suite.toml` may be read by all where it has no key."""
    checks = []
    dotenv, suite = folder / ".env", folder / suite_file.FILE
    for path in (dotenv, suite):
        mode = _mode(path)
        if mode is None:
            continue
        try:
            private = path == dotenv or bool(suite_file.read(path).secrets)
        except (OSError, suite_file.SuiteFileError) as e:
            checks.append(Check(path.name, "fail", str(e), "mend it: no service starts with it"))
            continue
        open_to_others = private and bool(mode & 0o077)
        fix = f"chmod 600 {path.name}: it may hold keys" if open_to_others else ""
        state: Literal["ok", "warn"] = "warn" if open_to_others else "ok"
        checks.append(Check(path.name, state, f"mode {mode:o}", fix))
    return checks


def _mode(path: Path) -> int | None:
    """Who may do what with a file; None where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def not_ready_checks(event: ConnectorStatusEvent) -> Iterator[Check]:
    """What of a connector doesn't work now; what has stopped for good is told before."""
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
            yield Check(name, "warn", said, "the exchange says so; orders go again when it opens")
