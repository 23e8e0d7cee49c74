"""Requests on a stream connection are answered or refused as documented."""

from typing import Any

import msgspec
import pytest

from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.binance.queries import BinanceVenue
from services.exchange_simulator.binance.streams import RequestError, StreamSession
from services.exchange_simulator.budget import MinuteBudget
from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.matching import Terms

NOW = 1_790_000_000_000


class Client:
    """A session, and the frames it received."""

    def __init__(self, *, combined: bool = False) -> None:
        def clock() -> int:
            return NOW

        self.market = SimulatedMarket(INSTRUMENTS[0], clock)
        venue = BinanceVenue(
            {"BTCUSDT": BinanceFeed(self.market)}, clock, MinuteBudget(6000, clock)
        )
        self.frames: list[Any] = []
        self.session = StreamSession(
            venue, lambda frame: self.frames.append(msgspec.json.decode(frame)), combined=combined
        )

    def say(self, text: str) -> Any:
        """The answer to a request."""
        self.session.on_text(text)
        return self.frames.pop()

    def trade(self) -> None:
        """Make one trade happen."""
        self.market.submit(Terms("maker", "sell", 1, 100))
        self.market.submit(Terms("taker", "buy", 1))


def test_a_subscription_lasts_until_unsubscribe() -> None:
    """A trade before UNSUBSCRIBE sends a frame, a trade after it none."""
    client = Client()
    subscribe = '{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":1}'
    assert client.say(subscribe) == {"result": None, "id": 1}
    assert client.say('{"method":"LIST_SUBSCRIPTIONS","id":"abc3"}') == {
        "result": ["btcusdt@aggTrade"],
        "id": "abc3",
    }
    client.trade()
    assert [frame["e"] for frame in client.frames] == ["aggTrade"]
    client.frames.clear()
    assert client.say(subscribe.replace("SUB", "UNSUB")) == {"result": None, "id": 1}
    client.trade()
    assert not client.frames


def test_a_stream_subscribed_twice_sends_each_frame_once() -> None:
    """The second subscription changes nothing."""
    client = Client()
    client.session.subscribe(["btcusdt@trade", "btcusdt@trade"])
    client.session.subscribe(["btcusdt@trade"])
    client.trade()
    assert len(client.frames) == 1


def test_an_unlisted_symbol_is_accepted_and_stays_silent() -> None:
    """As on the venue, it is listed among the subscriptions."""
    client = Client()
    client.session.subscribe(["nopeusdt@trade", "BTCUSDT@trade"])
    client.trade()
    assert not client.frames
    assert client.say('{"method":"LIST_SUBSCRIPTIONS","id":1}')["result"] == [
        "nopeusdt@trade",
        "BTCUSDT@trade",
    ]


def test_a_closed_session_receives_nothing() -> None:
    """No channel keeps it as a listener."""
    client = Client()
    client.session.subscribe(["btcusdt@trade", "nopeusdt@trade"])
    client.session.close()
    client.trade()
    assert not client.frames


def test_frames_can_be_wrapped_on_request() -> None:
    """`combined` is false on /ws until it is set."""
    client = Client()
    assert client.say('{"method":"GET_PROPERTY","params":["combined"],"id":2}') == {
        "result": False,
        "id": 2,
    }
    assert client.say('{"method":"SET_PROPERTY","params":["combined",true],"id":5}') == {
        "result": None,
        "id": 5,
    }
    client.session.subscribe(["btcusdt@trade"])
    client.trade()
    assert client.frames[0]["stream"] == "btcusdt@trade"


@pytest.mark.parametrize(
    ("request_text", "code", "says", "request_id"),
    [
        ("{", 3, "Invalid JSON", None),
        ("[]", 2, "Invalid request", None),
        ('{"id":1}', 2, "missing field `method`", 1),
        ('{"method":"SUBSCRIB","id":1}', 2, "unknown variant `SUBSCRIB`", 1),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2, "request ID", None),
        ('{"method":"SUBSCRIBE","params":[],"id":true}', 2, "request ID", None),
        ('{"method":"SUBSCRIBE","params":[],"id":"a b"}', 2, "request ID", None),
        ('{"method":"SUBSCRIBE","params":{},"id":1}', 2, "must be an array", 1),
        ('{"method":"SUBSCRIBE","params":[3],"id":1}', 2, "must be a string", 1),
        ('{"method":"SUBSCRIBE","params":["btcusdt@kline_1m"],"id":1}', 2, "kline_1m", 1),
        ('{"method":"SUBSCRIBE","params":["btcusdt@aggtrade"],"id":1}', 2, "aggtrade", 1),
        ('{"method":"SET_PROPERTY","params":["x",true],"id":4}', 0, "Unknown property", 4),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":4}', 1, "expected Boolean", 4),
        ('{"method":"SET_PROPERTY","params":["combined"],"id":4}', 1, "expected Boolean", 4),
        ('{"method":"SET_PROPERTY","params":[],"id":4}', 2, "property name", 4),
        ('{"method":"GET_PROPERTY","params":["combined",1],"id":4}', 2, "too many", 4),
    ],
)
def test_an_invalid_request_is_answered_with_a_code(
    request_text: str, code: int, says: str, request_id: object
) -> None:
    """The documented code and text, and the id if it is valid."""
    answer = Client().say(request_text)
    assert (answer["code"], answer["id"]) == (code, request_id)
    assert says in answer["msg"]


def test_a_connection_listens_to_at_most_1024_streams() -> None:
    """The request with the 1025th stream is refused as a whole."""
    client = Client()
    client.session.subscribe([f"x{number}usdt@trade" for number in range(1024)])
    with pytest.raises(RequestError, match="too many"):
        client.session.subscribe(["btcusdt@trade"])
    client.trade()
    assert not client.frames
