"""Timers of strategies, in virtual time: when each is told, and when none is."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bot.parameters import ParameterError
from services.bot.strategy import Market, Strategy
from services.bot.strategy_host import _every
from services.bot.timers import Timer, Timers
from tests.support.virtual_time import run_virtually

# A moment of Redis's clock, in seconds: 3 s after a full minute.
START = 1_800_000_003.0


class Host:
    """Notes what is told to whom."""

    def __init__(self, **every: float | None) -> None:
        self.running = {
            name: SimpleNamespace(name=name, every=each) for name, each in every.items()
        }
        self.called: list[tuple[str, datetime]] = []
        self.caused_by: list[str] = []

    def notify(self, running: Any, method: str, message: datetime, cause: Any) -> None:
        """As the strategy host."""
        assert method == "on_timer"
        self.called.append((running.name, message))
        self.caused_by += cause.chain


def ran(host: Host, seconds: float, now: Callable[[float], float | None] | None = None) -> int:
    """Keep telling for so long, in virtual time; how often it was said that something was told.

    *now* makes Redis's time of the seconds since the start.
    """
    said: list[None] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        timers = Timers(cast(Any, host), lambda: (now or (lambda at: START + at))(clock()))
        task = asyncio.create_task(timers.run(lambda: said.append(None)))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])

    run_virtually(main())
    return len(said)


def seconds(host: Host, name: str) -> list[float]:
    """When a strategy was told the time, in seconds after the start."""
    return [at.timestamp() - START for told, at in host.called if told == name]


def test_each_timer_fires_at_the_multiples_of_its_seconds() -> None:
    """Of Redis's clock: a timer of a minute is due at the full minute."""
    host = Host(minute=60.0, ten=10.0, never=None)
    assert ran(host, 61.0) == 7
    assert seconds(host, "minute") == [57.0]
    assert seconds(host, "ten") == [7.0, 17.0, 27.0, 37.0, 47.0, 57.0]
    assert host.called[0] == ("ten", datetime.fromtimestamp(START + 7, UTC))
    assert host.caused_by[0] == f"timer {int(START + 7) * 1000}-0"


def test_without_a_timer_nothing_runs() -> None:
    """It ends."""
    run_virtually(Timers(cast(Any, Host(never=None)), lambda: START).run(lambda: None))


def test_what_was_missed_is_not_made_up_for() -> None:
    """While the bot is behind nobody is told; afterwards each once, of the last moment."""
    host = Host(ten=10.0)
    ran(host, 41.0, lambda at: None if 5.0 < at < 30.5 else START + at)
    assert seconds(host, "ten") == [27.0, 37.0]


def test_after_the_clock_is_set_back_no_future_moment_is_due() -> None:
    """From the earlier time on it goes on as ever."""
    host = Host(ten=10.0)
    ran(host, 31.0, lambda at: START + at if at < 10 else START + at - 3600)
    assert seconds(host, "ten") == [7.0, 17.0 - 3600, 27.0 - 3600]


@given(
    st.floats(1.0, 100.0),
    st.lists(st.floats(0.0, 500.0), min_size=1, max_size=50).map(sorted),
)
def test_a_moment_is_due_at_most_once_and_never_early(every: float, looks: list[float]) -> None:
    """However often one looks."""
    timer = Timer(every)
    told = [(at, moment) for at in looks if (moment := timer.due(START + at)) is not None]
    moments = [moment for _, moment in told]
    assert moments == sorted(set(moments))
    for at, moment in told:
        assert moment % round(every * 1000) == 0
        assert 0 <= (START + at) * 1000 - moment + 1 <= every * 1000 + 2


class Ticking(Strategy):
    """Has a timer."""

    def __init__(self, every: Any) -> None:
        super().__init__(cast(Market, None))
        self.timer_seconds = every

    def on_timer(self, now: datetime) -> None:
        """Nothing."""


class Silent(Strategy):
    """Asks for a timer, and has nothing to call."""

    timer_seconds = 5


@pytest.mark.parametrize("every", [None, 0.5, 86_401, float("nan"), "5", -1])
def test_a_timer_out_of_bounds_is_refused(every: Any) -> None:
    """The error says what would be right."""
    with pytest.raises(
        ParameterError, match="expected the seconds between calls of on_timer, at l"
    ):
        _every(Ticking(every))


def test_a_timer_and_its_method_belong_together() -> None:
    """One without the other is a mistake."""
    assert _every(Ticking(1)) == 1.0
    assert _every(Strategy(cast(Market, None))) is None
    with pytest.raises(ParameterError, match="timer_seconds=5: expected a method on_timer, too"):
        _every(Silent(cast(Market, None)))
