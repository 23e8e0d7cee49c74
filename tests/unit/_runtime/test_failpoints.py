"""Points at which a process ends itself: only where armed, and as armed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services._runtime.failpoints import Failpoint, arm, parse, reach
from services._runtime.settings import ServiceSettings, SettingsError, load

PROGRAM = """
import sys
from services._runtime.failpoints import arm, reach
arm(sys.argv[1])
for word in ("one", "two", "one", "three"):
    reach(word)
    print(word, flush=True)
"""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Nothing armed outlives a test."""
    yield
    arm("")


def run(failpoint: str) -> tuple[int, list[str]]:
    """A process with that point armed: its exit code, and what it said before."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, failpoint],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, [word for word in ended.stdout.split() if word.isalpha()]


def test_a_point_that_is_not_armed_does_nothing() -> None:
    """All others are passed, and so is this one before anything is armed."""
    reach("after_post")
    arm("before_post")
    reach("after_post")


@pytest.mark.parametrize(
    ("failpoint", "code", "said"),
    [
        ("one", -signal.SIGKILL, []),
        ("two", -signal.SIGKILL, ["one"]),
        ("one:kill:2", -signal.SIGKILL, ["one", "two"]),
        ("three:term", -signal.SIGTERM, ["one", "two", "one"]),
        ("one:kill:3", 0, ["one", "two", "one", "three"]),
        ("", 0, ["one", "two", "one", "three"]),
    ],
)
def test_the_process_ends_where_it_is_armed(failpoint: str, code: int, said: list[str]) -> None:
    """By that signal, at that time of reaching the point, and nothing runs after it."""
    assert run(failpoint) == (code, said)


def test_a_point_strikes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that survives the signal goes on."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: sent.append(number))
    arm("after_post:stop:2")
    for _ in range(5):
        reach("after_post")
    assert sent == [signal.SIGSTOP]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("after_post", Failpoint("after_post", signal.SIGKILL, 1)),
        ("after_post:stop", Failpoint("after_post", signal.SIGSTOP, 1)),
        ("after_post:term:12", Failpoint("after_post", signal.SIGTERM, 12)),
    ],
)
def test_what_is_written_is_what_is_armed(text: str, expected: Failpoint | None) -> None:
    """A name, a signal, a count."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["after post", ":kill", "a:murder", "a:kill:0", "a:kill:x", "a:::"]
)
def test_what_cannot_be_read_is_refused_with_the_setting(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that would never be killed must not start as if it would."""
    monkeypatch.setenv("FAILPOINT", text)
    with pytest.raises(SettingsError, match="FAILPOINT="):
        load(ServiceSettings)
