"""Named points at which a test kills or pauses a real process: `FAILPOINT=after_post`.

`reach(name)` does nothing unless that point is armed; it costs one comparison.
"""

import os
import signal
from typing import NamedTuple

import structlog

log = structlog.get_logger()

_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}


class Failpoint(NamedTuple):
    """The process sends itself signal *number* when it reaches *name* for the *nth* time."""

    name: str
    number: signal.Signals
    nth: int


_armed: Failpoint | None = None
_reached = 0


def parse(text: str) -> Failpoint | None:
    """Parse `name`, `name:how` or `name:how:nth`; how is kill, term or stop. Empty: None.

    Raises:
        ValueError: *text* has another form.
    """
    if not text:
        return None
    name, how, nth = (*text.split(":"), "", "")[:3]
    if text.count(":") > 2 or not name.isidentifier() or (how or "kill") not in _SIGNALS:
        raise ValueError(
            "invalid failpoint; expected a name, optionally with :kill, :term or :stop"
        )
    if nth and (not nth.isdecimal() or int(nth) < 1):
        raise ValueError(f"invalid count {nth!r}; expected e.g. after_post:kill:2")
    return Failpoint(name, _SIGNALS[how or "kill"], int(nth or 1))


def arm(text: str) -> None:
    """Arm the failpoint *text*, which acts once; an empty text disarms.

    Raises:
        ValueError: *text* can't be parsed.
    """
    global _armed, _reached
    _armed, _reached = parse(text), 0
    if _armed:
        log.warning("failpoint_armed", failpoint=text)


def reach(name: str) -> None:
    """Mark this point as reached; if it is armed, the process sends itself the signal."""
    if _armed is not None and _armed.name == name:
        _send_signal(_armed)


def _send_signal(failpoint: Failpoint) -> None:
    global _armed, _reached  # noqa: PLW0603 - one failpoint per process
    _reached += 1
    if _reached == failpoint.nth:
        _armed = None
        os.kill(os.getpid(), failpoint.number)
