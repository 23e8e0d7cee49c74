"""Named points at which a test has a real process killed or paused: `FAILPOINT=after_post`.

`reach(name)` does nothing unless that point was armed: a comparison with None.
"""

import os
import signal
from typing import NamedTuple

import structlog

log = structlog.get_logger()

_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}


class Failpoint(NamedTuple):
    """Where a process sends itself a signal: when *name* is reached for the *nth* time."""

    name: str
    number: signal.Signals
    nth: int


_armed: Failpoint | None = None
_reached = 0


def parse(text: str) -> Failpoint | None:
    """Read `name`, `name:how` or `name:how:nth`; how is kill, term or stop. Nothing: None.

    Raises:
        ValueError: it is none of these.
    """
    if not text:
        return None
    name, how, nth = (*text.split(":"), "", "")[:3]
    if text.count(":") > 2 or not name.isidentifier() or (how or "kill") not in _SIGNALS:
        raise ValueError("is no failpoint; want a name, and perhaps :kill, :term or :stop")
    if nth and (not nth.isdecimal() or int(nth) < 1):
        raise ValueError(f"has {nth!r} for a count; want e.g. after_post:kill:2")
    return Failpoint(name, _SIGNALS[how or "kill"], int(nth or 1))


def arm(text: str) -> None:
    """Let the process send itself a signal at a point, once; an empty text disarms.

    Raises:
        ValueError: *text* can't be read.
    """
    global _armed, _reached
    _armed, _reached = parse(text), 0
    if _armed:
        log.warning("failpoint_armed", failpoint=text)


def reach(name: str) -> None:
    """This point is reached: the end, where it was armed."""
    if _armed is not None and _armed.name == name:
        _send_signal(_armed)


def _send_signal(failpoint: Failpoint) -> None:
    global _armed, _reached  # noqa: PLW0603 - a process has one fate
    _reached += 1
    if _reached == failpoint.nth:
        _armed = None
        os.kill(os.getpid(), failpoint.number)
