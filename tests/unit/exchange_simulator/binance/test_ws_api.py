"""The WebSocket API: an envelope around the same queries."""

from functools import partial
from typing import Any

import msgspec
import pytest

from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.binance.queries import BinanceVenue
from services.exchange_simulator.binance.ws_api import answer, look_up
from services.exchange_simulator.budget import MinuteBudget
from services.exchange_simulator.instruments import INSTRUMENTS
from services.exchange_simulator.market import SimulatedMarket

NOW = 1_790_000_010_000  # half a minute remains


def clock() -> int:
    """A constant clock."""
    return NOW


@pytest.fixture
def venue() -> BinanceVenue:
    """One quiet symbol."""
    market = SimulatedMarket(INSTRUMENTS[0], clock)
    return BinanceVenue({"BTCUSDT": BinanceFeed(market)}, clock, MinuteBudget(6000, clock))


def ask(venue: BinanceVenue, **request: Any) -> dict[str, Any]:
    """The response to a request."""
    text = msgspec.json.encode(request).decode()
    return answer(venue, "client", text, partial(look_up, venue))


def test_it_answers_with_the_id_the_result_and_the_weight_used(venue: BinanceVenue) -> None:
    """Weights add up over requests."""
    assert ask(venue, id="a-1", method="ping") == {
        "id": "a-1",
        "status": 200,
        "result": {},
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": 6000,
                "count": 1,
            }
        ],
    }
    reply = ask(venue, id=2, method="depth", params={"symbol": "BTCUSDT", "limit": 5})
    assert reply["result"]["bids"] == []
    assert reply["rateLimits"][0]["count"] == 6


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("nonsense", -1135),
        ("[1]", -1135),
        ('{"id":1}', -1102),
        ('{"id":1,"method":"ping","params":[]}', -1135),
        ('{"id":1,"method":"session.logon","params":{}}', -1020),
        ('{"id":1,"method":"depth","params":{"symbol":"NOPE"}}', -1121),
    ],
)
def test_an_invalid_request_is_an_error_with_its_status(
    venue: BinanceVenue, request_text: str, code: int
) -> None:
    """Every status except 200 has an `error`."""
    reply = answer(venue, "client", request_text, partial(look_up, venue))
    assert reply["status"] == 400
    assert reply["error"]["code"] == code
    assert "result" not in reply


def test_an_exhausted_budget_has_a_retry_time(venue: BinanceVenue) -> None:
    """429 with the end of the minute in Unix ms."""
    venue.budget.charge("client", 6000)
    reply = ask(venue, id=1, method="ping")
    assert (reply["status"], reply["error"]["code"]) == (429, -1003)
    assert reply["error"]["data"] == {"serverTime": NOW, "retryAfter": NOW + 30_000}
