"""A socket's heir: whichever of the two is behind, together they bring everything."""

import asyncio
import json
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.market_data.order_book import ApplyOutcome, LevelBook
from services._connector_kit.web_socket import WebSocket
from services.binance_connector import standby_socket
from services.binance_connector.standby_socket import (
    CAUGHT_UP_WITHIN,
    OVERLAP,
    StandbySocket,
    socket_lifetime,
)
from tests.support.virtual_time import run_virtually


@dataclass
class Known:
    """How far one symbol is known."""

    depth_id: int | None = None
    trade_id: int | None = None


def depth(first: int, last: int, symbol: str = "BTCUSDT") -> bytes:
    """A depth update."""
    data = {"e": "depthUpdate", "E": 1, "s": symbol, "U": first, "u": last, "b": [], "a": []}
    return json.dumps({"stream": "any", "data": data}).encode()


def trade(number: int, symbol: str = "BTCUSDT") -> bytes:
    """A trade."""
    data = {"e": "aggTrade", "s": symbol, "a": number, "p": "1", "q": "1", "T": 1, "m": False}
    return json.dumps({"stream": "any", "data": data}).encode()


@pytest.mark.parametrize(
    ("frames", "known", "caught_up"),
    [
        ([], Known(10, 10), False),
        ([depth(11, 12)], Known(10, None), True),
        ([depth(12, 13)], Known(10, None), False),
        ([depth(12, 13), depth(14, 15)], Known(11, None), True),
        ([depth(12, 13)], Known(None, None), True),
        ([trade(11)], Known(10, 10), True),
        ([trade(12)], Known(10, 10), False),
        ([trade(12)], Known(10, None), False),
        ([depth(11, 12), trade(12)], Known(10, 10), False),
        ([depth(99, 99, "ETHUSDT"), b"rubbish"], Known(10, 10), True),
    ],
)
def test_it_has_caught_up_when_nothing_lies_between_what_is_known_and_what_it_holds(
    frames: list[bytes], known: Known, caught_up: bool
) -> None:
    """Its first frame of each kind counts; a book out of sync and foreign symbols don't matter."""
    standby = StandbySocket({"BTCUSDT": known}.get)
    for frame in frames:
        standby.on_frame(frame)
    assert standby.caught_up is caught_up


@given(
    st.lists(st.integers(1, 4), min_size=5, max_size=40),
    st.integers(0, 3),
    st.lists(st.booleans(), max_size=120),
)
def test_two_sockets_in_any_interleaving_make_one_without_a_hole(
    sizes: list[int], joined_at: int, turns: list[bool]
) -> None:
    """The heir joins at some frame; either may lead; the change comes as soon as it may."""
    ends = [100]
    for size in sizes:
        ends.append(ends[-1] + size)
    frames = [depth(first + 1, last) for first, last in pairwise(ends)]
    book = LevelBook(100, [], [], limit=1)
    known = Known(100)
    outcomes = []

    def in_office(frame: bytes) -> None:
        data = json.loads(frame)["data"]
        outcomes.append(book.apply(data["U"], data["u"], [], []))
        known.depth_id = book.update_id

    standby = StandbySocket({"BTCUSDT": known}.get)
    old, new = iter(frames), iter(frames[joined_at:])
    for is_standby in turns:
        if is_standby and (frame := next(new, None)) is not None:
            standby.on_frame(frame)
        elif not is_standby and (frame := next(old, None)) is not None:
            in_office(frame)
        if standby.caught_up:
            break
    else:
        for frame in old:
            in_office(frame)
    standby.take_over(WebSocket(standby.on_frame, None), in_office)
    for frame in new:
        in_office(frame)
    assert all(isinstance(outcome, ApplyOutcome) for outcome in outcomes)
    assert book.update_id == ends[-1]


def test_it_takes_over_after_the_overlap_or_when_it_waited_long_enough() -> None:
    """What happened before it was there, the one in office gets a moment to bring."""

    async def waited(known: Known) -> float:
        standby = StandbySocket({"BTCUSDT": known}.get)
        standby.on_frame(depth(11, 12))
        await standby.catch_up()
        return asyncio.get_running_loop().time()

    assert run_virtually(waited(Known(10))) == pytest.approx(OVERLAP, abs=0.1)
    assert run_virtually(waited(Known(9))) == pytest.approx(CAUGHT_UP_WITHIN, abs=0.1)


def test_it_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it takes over, and what is missing is found by ids."""
    monkeypatch.setattr(standby_socket, "MAX_HELD_FRAMES", 3)

    async def waited() -> float:
        standby = StandbySocket({"BTCUSDT": Known(9)}.get)
        for number in range(11, 14):
            standby.on_frame(depth(number, number))
        await standby.catch_up()
        return asyncio.get_running_loop().time()

    assert run_virtually(waited()) == 0.0


def test_a_socket_lives_less_than_the_venue_allows_and_not_as_long_as_its_sister() -> None:
    """23 hours at most, of the 24."""
    lives = {socket_lifetime() for _ in range(100)}
    assert len(lives) > 90
    assert all(22 * 3600 <= life <= 23 * 3600 for life in lives)
