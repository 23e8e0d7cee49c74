"""Binance's account stream, frame by frame: what is heard, what is doubted, what ends it."""

import json
from typing import Any

import msgspec
import pytest

from services._connector_kit.errors import FeedStoppedError, TransientError
from services._connector_kit.frames import BadFrames
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account import Listener
from services._connector_kit.orders.bookkeeping import Report
from services.binance_connector.account import _Session
from tests.unit.binance_connector.test_translate_orders import NEW, TRADE

ETH = Instrument("ETH/BTC", "ETHBTC", "ETH", "BTC", trading=True)


class Stream:
    """One session, and what it made of its frames."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.bad = BadFrames("test")
        self.session = _Session(self.listener, {"ETHBTC": ETH}, self.bad)

    def says(self, *frames: object) -> list[Any]:
        """What is heard of these frames."""
        for frame in frames:
            self.session.on_text(frame if isinstance(frame, bytes) else json.dumps(frame).encode())
        heard = []
        while not self.listener.waiting.empty():
            heard.append(self.listener.waiting.get_nowait())
        return heard


def event(content: dict[str, Any]) -> dict[str, Any]:
    """An event as it is wrapped on the wire."""
    return {"subscriptionId": 0, "event": content}


def test_a_subscription_brings_a_comparison() -> None:
    """What happened before it isn't told by the stream."""
    stream = Stream()
    assert stream.says({"id": "subscribe", "status": 200, "result": {"subscriptionId": 0}}) == []
    assert stream.listener.compare.is_set()
    assert stream.session._subscribed.is_set()


def test_orders_of_our_symbols_are_heard() -> None:
    """Others are none of this connector's business."""
    (one, two) = Stream().says(event(NEW), event(TRADE), event({**NEW, "s": "DOGEUSDT"}))
    assert isinstance(one, Report)
    assert (one.symbol, one.status, two.status) == ("ETH/BTC", "open", "partially_filled")


def test_balances_are_heard_as_they_are_or_asked_for() -> None:
    """A position has the new values, an update only what changed."""
    stream = Stream()
    position = {"e": "outboundAccountPosition", "B": [{"a": "ETH", "f": "1.5", "l": "0.5"}]}
    ((balance,),) = stream.says(event(position))
    assert (balance.asset, str(balance.free), str(balance.locked)) == ("ETH", "1.5", "0.5")
    assert not stream.listener.balances.is_set()
    stream.says(event({"e": "balanceUpdate", "a": "BTC", "d": "100.0"}))
    assert stream.listener.balances.is_set()


@pytest.mark.parametrize(
    "frame",
    [
        b"rubbish",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"null",
        b'"event"',
        b"{}" + b"}" * 3,
        b'{"event": null}',
        b'{"event": {}}',
        b'{"event": {"e": "executionReport"}}',
        json.dumps(event({**NEW, "q": "NaN"})).encode(),
        json.dumps(event({**NEW, "T": "soon"})).encode(),
        json.dumps(event({**TRADE, "l": "0"})).encode(),
        json.dumps(event({"e": "outboundAccountPosition", "B": [{"a": "ETH"}]})).encode(),
    ],
)
def test_a_frame_that_cant_be_read_is_counted_and_compared_for(frame: bytes) -> None:
    """What it said, the comparison finds out; the stream goes on."""
    stream = Stream()
    (after,) = stream.says(frame, event(NEW))
    assert after.status == "open"
    assert stream.bad.count == 1
    assert stream.listener.compare.is_set()


def test_an_event_that_nobody_knew_is_no_fault() -> None:
    """Binance adds some now and then."""
    stream = Stream()
    assert stream.says(event({"e": "listStatus"})) == []
    assert stream.bad.count == 0


@pytest.mark.parametrize("kind", ["serverShutdown", "eventStreamTerminated"])
def test_what_ends_the_stream_has_it_made_anew(kind: str) -> None:
    """At once, not when the silence is noticed."""
    with pytest.raises(TransientError, match=kind):
        Stream().says(event({"e": kind}))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-2015, FeedStoppedError),
        (-1022, FeedStoppedError),
        (-1021, TransientError),
        (None, TransientError),
    ],
)
def test_a_refused_subscription_is_sorted(code: int | None, error: type[Exception]) -> None:
    """A bad key stops the account, anything else is tried again."""
    frame = {"id": "subscribe", "status": 400, "error": {"code": code, "msg": "no"}}
    with pytest.raises(error, match="refused the account stream"):
        Stream().says(msgspec.json.encode(frame))
