"""Bodies are believed, whatever the status: every request of Binance's against every bad body.

A 200 before a body that says no, or that isn't what was asked for, is nobody's success.
"""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import product
from typing import Any

import pytest
from pydantic import SecretStr

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument
from services.binance_connector.client import Binance, open_binance
from services.binance_connector.rest import SignedRest
from services.binance_connector.settings import BinanceSettings
from tests.support.attempts import Attempts
from tests.support.venues.canned_http import CannedServer, canned_server
from tests.support.venues.listings import listing

BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True)
IDS: Mapping[str, Any] = {"order_id": "28", "client_order_id": None}
FOURTEEN = [Instrument(f"A{n}/BTC", f"A{n}BTC", f"A{n}", "BTC", trading=True) for n in range(14)]

Request = Callable[[Binance, SignedRest], Awaitable[Any]]


SETTINGS = BinanceSettings.model_construct(
    binance_api_key=SecretStr("key"), binance_api_secret=SecretStr("secret")
)

REQUESTS: dict[str, Request] = {
    "exchangeInfo": lambda binance, _: binance.instruments(["BTC/USDT"]),
    "depth": lambda binance, _: binance.depth("BTCUSDT", 100),
    "aggTrades": lambda binance, _: binance.agg_trades("BTCUSDT", 1),
    "time": lambda _, rest: rest.milliseconds(),
    "order": lambda _, rest: rest.order(BTC, "order-1"),
    "openOrders, allOrders": lambda _, rest: rest.orders_since(BTC, 1_700_000_000_000),
    "order, myTrades": lambda _, rest: rest.report(BTC, **IDS),
    "openOrders": lambda _, rest: rest.open_orders(),
    "openOrders of all": lambda binance, _: SignedRest(
        binance, SETTINGS, listing(*FOURTEEN), VenueClock()
    ).open_orders(),
    "myTrades": lambda _, rest: rest.trades_since("BTCUSDT", 1),
    "cancel": lambda _, rest: rest.cancel("BTCUSDT", **IDS, keep="a"),
    "account": lambda _, rest: rest.balances(),
    "apiRestrictions": lambda _, rest: rest.permissions(),
}


def said(code: object, message: object = "no") -> bytes:
    """Binance's form of an error."""
    return json.dumps({"code": code, "msg": message}).encode()


DEEP = b"[" * 900 + b"]" * 900

BODIES: dict[str, tuple[bytes, type[Exception]]] = {
    "refused": (said(-1100), RejectedError),
    "no such order": (said(-2013), RejectedError),
    "nothing to cancel": (said(-2011), RejectedError),
    "refused without words": (b'{"code":-1100}', RejectedError),
    "bad key": (said(-2015), FeedStoppedError),
    "too many requests": (said(-1003), TransientError),
    "an error of its own": (said(-1000), TransientError),
    "wrong time": (said(-1021), RejectedError),
    "a code that is none": (said("-2013"), TransientError),
    "a code that is no refusal": (said(200), TransientError),
    "code 0": (said(0), TransientError),
    "true": (said(True), TransientError),
    "no code": (said(None), TransientError),
    "a list as code": (said([-2013]), TransientError),
    "another's words": (b'{"message":"boom"}', TransientError),
    "success false": (b'{"success":false}', TransientError),
    "nothing": (b"", TransientError),
    "an empty object": (b"{}", TransientError),
    "null": (b"null", TransientError),
    "text": (b'"ok"', TransientError),
    "a number": (b"7", TransientError),
    "a list of nonsense": (b"[7]", TransientError),
    "a list of refusals": (b"[" + said(-2013) + b"]", TransientError),
    "a page": (b"<html>a captive portal</html>", TransientError),
    "half an answer": (b'{"orderId":2', TransientError),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, TransientError),
    "too deep inside": (b'{"balances":%s,"a":%s}' % (DEEP, DEEP), TransientError),
    "too many lists": (b"[" + b"[]," * 600_000 + b"[]]", TransientError),
    "too large": (b'"' + b"x" * (17 << 20) + b'"', TransientError),
}


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    """Binance's REST as the tests want it."""
    async with canned_server() as canned:
        yield canned


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("body_name", BODIES)
async def test_a_body_that_says_no_under_a_200_is_sorted_and_never_a_success(
    server: CannedServer, request_name: str, body_name: str
) -> None:
    """Each request against each body."""
    body, error = BODIES[body_name]
    signed = request_name not in ("exchangeInfo", "depth", "aggTrades", "time")
    if body_name == "wrong time" and signed:
        error = TransientError  # the clock is measured again, and the request may be repeated
    server.answers(200, body)
    settings = SETTINGS.model_copy(update={"binance_rest_url": f"{server.url}/api"})
    async with open_binance(settings) as binance:
        rest = SignedRest(binance, settings, listing(BTC), VenueClock())
        with pytest.raises(error, match="Binance") as caught:
            await REQUESTS[request_name](binance, rest)
    assert type(caught.value) is error
    if isinstance(caught.value, RejectedError):
        assert caught.value.code == str(json.loads(body)["code"])


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("account", b'{"balances":{}}'),
        ("account", b'{"balances":null}'),
        ("exchangeInfo", b'{"symbols":{}}'),
        ("exchangeInfo", b'{"symbols":null}'),
        ("depth", b'{"lastUpdateId":1,"bids":null,"asks":null}'),
        ("cancel", b'{"orderId":null}'),
        ("time", b'{"serverTime":null}'),
    ],
)
async def test_an_answer_that_isnt_a_list_is_not_read_as_an_empty_one(
    server: CannedServer, name: str, body: bytes
) -> None:
    """No balances, symbols or levels are news; a hole in an answer is none."""
    server.answers(200, body)
    settings = SETTINGS.model_copy(update={"binance_rest_url": f"{server.url}/api"})
    async with open_binance(settings) as binance:
        rest = SignedRest(binance, settings, listing(BTC), VenueClock())
        with pytest.raises(TransientError, match="can't be read"):
            await REQUESTS[name](binance, rest)


async def test_no_redirect_is_followed_so_that_the_key_reaches_no_other_host(
    server: CannedServer, attempt: Attempts
) -> None:
    """Whatever the request, its method and the status."""
    settings = SETTINGS.model_copy(update={"binance_rest_url": f"{server.url}/api"})
    async with canned_server() as other, open_binance(settings) as binance:
        rest = SignedRest(binance, settings, listing(BTC), VenueClock())
        for status, request in product((301, 302, 303, 307, 308), REQUESTS.values()):
            server.answers(status, b"", Location=f"{other.url}/api/v3/account")
            with pytest.raises(TransientError, match=f"answered {status}"):
                await request(binance, rest)
            attempt("exchange", "redirect the key to another host", succeeded=bool(other.requests))
            assert other.requests == []


async def test_the_headers_of_a_request_ask_for_what_can_be_unpacked(server: CannedServer) -> None:
    """And a packed answer is read."""
    packed = gzip.compress(b'{"serverTime":7}')
    server.answers(200, packed, Content_Encoding="gzip", Content_Type="application/json")
    settings = SETTINGS.model_copy(update={"binance_rest_url": f"{server.url}/api"})
    async with open_binance(settings) as binance:
        assert binance.sdk.session.headers["Accept-Encoding"] == "gzip"
        assert await SignedRest(binance, settings, listing(BTC), VenueClock()).milliseconds() == 7
