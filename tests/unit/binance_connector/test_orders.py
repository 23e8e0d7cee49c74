"""Orders on Binance over real HTTP: what is sent, how often, and what every answer proves."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from common_models import PlaceOrderCommand
from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.orders.execution.validation import validate
from services._connector_kit.orders.ports import (
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    RoundedOrder,
    VenueAcceptance,
    VenueOrder,
)
from services.binance_connector import orders
from services.binance_connector.client import Binance, open_binance
from services.binance_connector.orders import DEFINITIVE, BinanceOrders
from services.binance_connector.rest import BAD_KEY, SignedRest
from services.binance_connector.settings import KEY_HELP, BinanceSettings
from services.binance_connector.translate_orders import RULES
from tests.support.eventually import eventually
from tests.support.orders.commands import command, record
from tests.support.ports import quiet_port
from tests.support.venues.listings import listing
from tests.support.venues.raw_http import RawServer, raw_server

BTC = Instrument(
    "BTC/USDT",
    "BTCUSDT",
    "BTC",
    "USDT",
    trading=True,
    rules=TradingRules(
        price=Range(Decimal("0.01"), Decimal("0.01"), Decimal(1_000_000)),
        quantity=Range(Decimal("0.00001"), Decimal("0.00001"), Decimal(9000)),
    ),
)
ETH = Instrument("ETH/USDT", "ETHUSDT", "ETH", "USDT", trading=True)
ORDER = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": "order-1",
    "side": "BUY",
    "type": "LIMIT",
    "price": "100.00",
    "origQty": "0.50",
    "executedQty": "0.10",
    "transactTime": 1_700_000_000_000,
}
FOUND = VenueOrder(
    *("28", "order-1", "0.10", "BTC/USDT", "buy", "limit", "0.50", "100.00"),
    created=1_700_000_000_000,
)


@dataclass
class Trading:
    """The connector's own parts, at a server that a test has in its hand."""

    server: RawServer
    binance: Binance
    orders: BinanceOrders
    clock: VenueClock

    async def place(self, **fields: Any) -> PlaceOutcome:
        """Place an order."""
        return await self.orders.place(record(command(**fields)))


@pytest.fixture
async def trading() -> AsyncIterator[Trading]:
    """Ready to place."""
    async with raw_server() as server, opened(server.url) as (binance, placing, clock):
        yield Trading(server, binance, placing, clock)


def validated(order: PlaceOrderCommand) -> RoundedOrder | Rejection:
    """The order that would be sent, by the rules that Binance's connector declares."""
    return validate(order, {BTC.symbol: BTC}, RULES)


class opened:  # noqa: N801 - reads as a function
    """The client and what places orders through it, at *url*."""

    def __init__(self, url: str) -> None:
        self.settings = BinanceSettings.model_construct(
            binance_rest_url=f"{url}/api",
            binance_api_key=SecretStr("key"),
            binance_api_secret=SecretStr("secret"),
        )
        self.client = open_binance(self.settings)

    async def __aenter__(self) -> tuple[Binance, BinanceOrders, VenueClock]:
        binance = await self.client.__aenter__()
        clock = VenueClock()
        listed = listing(BTC, others=[ETH])
        rest = SignedRest(binance, self.settings, listed, clock)

        async def key_known(within: float) -> bool:
            return True

        placing = BinanceOrders(rest, binance.limits, clock, listed, 5000, key_known)
        return binance, placing, clock

    async def __aexit__(self, *error: object) -> None:
        await self.client.__aexit__(None, None, None)


async def test_an_order_is_posted_once_signed_with_the_journaled_time(trading: Trading) -> None:
    """In the body, every byte of it under the signature, with the key in the header."""
    trading.server.answers(200, json.dumps(ORDER).encode())
    trading.clock.offset = 1_000_000  # whatever our clock says meanwhile
    outcome = await trading.place()
    assert outcome == VenueAcceptance(FOUND)
    (request,) = trading.server.requests
    assert (request.method, request.target) == ("POST", "/api/v3/order")
    assert request.headers["x-mbx-apikey"] == "key"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    payload, _, signature = request.body.partition("&signature=")
    assert signature == hmac.new(b"secret", payload.encode(), hashlib.sha256).hexdigest()
    assert (request.params["timestamp"], request.params["recvWindow"]) == ("1700000000000", "5000")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {"type": "LIMIT", "timeInForce": "GTC", "price": "100"}),
        ({"time_in_force": "IOC"}, {"type": "LIMIT", "timeInForce": "IOC", "price": "100"}),
        ({"time_in_force": "FOK"}, {"type": "LIMIT", "timeInForce": "FOK", "price": "100"}),
        ({"post_only": True}, {"type": "LIMIT_MAKER", "price": "100"}),
        ({"post_only": True, "time_in_force": "GTC"}, {"type": "LIMIT_MAKER", "price": "100"}),
        ({"type": "market"}, {"type": "MARKET"}),
        ({"type": "market", "side": "sell"}, {"type": "MARKET", "side": "SELL"}),
    ],
)
async def test_the_parameters_are_the_documented_ones(
    trading: Trading, fields: dict[str, Any], wanted: dict[str, str]
) -> None:
    """Those, and no other."""
    await trading.place(**fields)
    (request,) = trading.server.requests
    sent = request.params
    for name in ("timestamp", "recvWindow", "signature"):
        del sent[name]
    assert sent == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.5",
        "newClientOrderId": "order-1",
        "newOrderRespType": "FULL",
        **wanted,
    }


def error(code: object, message: str = "no") -> bytes:
    """Binance's form of an error."""
    return json.dumps({"code": code, "msg": message}).encode()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        *((400, error(code), "exchange_rejected") for code in sorted(DEFINITIVE - {-1003, -1015})),
        (400, error(-2010, "Account has insufficient balance."), "exchange_rejected"),
        (401, error(-2015), "exchange_rejected"),
        (429, error(-1003), "rate_limited"),
        (418, error(-1003), "rate_limited"),
        (429, error(-1015), "rate_limited"),
    ],
)
async def test_only_a_definitive_refusal_means_that_there_is_no_order(
    trading: Trading, status: int, body: bytes, reason: str
) -> None:
    """The codes of the list, in a 4xx, and Binance's words with them."""
    trading.server.answers(status, body)
    outcome = await trading.place()
    assert isinstance(outcome, Rejection)
    assert outcome.reason_code == reason
    assert "Binance: -" in outcome.message
    assert outcome.about_key == (json.loads(body)["code"] in BAD_KEY)
    assert outcome.about_key == (KEY_HELP in outcome.message)
    assert len(trading.server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error(-2010, "Duplicate order sent.")),
        (400, error(-1000)),
        (400, error(-1001)),
        (400, error(-1006)),
        (400, error(-1007)),
        (400, error(-1008)),
        (503, error(-1008)),
        (400, error(-1016)),
        (400, error(-1099)),
        (400, error(-1137)),
        (400, error(-1021)),
        (400, error(-2011)),
        (400, error(-2013)),
        (400, error(-9999)),
        (400, error("-1013")),
        (400, error([-1013])),
        (400, error({})),
        (400, error(None)),
        (400, error(True)),
        (400, b"[]"),
        (400, b""),
        (400, b'{"message":"boom"}'),
        (403, b"<html>WAF</html>"),
        (404, b""),
        (429, b"<html>slow down</html>"),
        (500, error(-1013)),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (504, error(-1007)),
        (302, b""),
        (307, error(-1013)),
        (201, json.dumps(ORDER).encode()),
        (200, b""),
        (200, b"null"),
        (200, b"[]"),
        (200, b"28"),
        (200, b"{}"),
        (200, b'{"orderId":28'),
        (200, b"\xff\xfe{}"),
        (200, b"[" * 100_000),
        (200, json.dumps({**ORDER, "clientOrderId": "another"}).encode()),
        (200, json.dumps({**ORDER, "side": "SELL"}).encode()),
        (200, json.dumps({**ORDER, "orderId": None}).encode()),
        (200, json.dumps({**ORDER, "orderId": "28"}).encode()),
        (200, json.dumps({**ORDER, "orderId": 2.5}).encode()),
        (200, json.dumps({**ORDER, "executedQty": "NaN"}).encode()),
        (200, json.dumps({**ORDER, "executedQty": "some"}).encode()),
        (200, json.dumps({**ORDER, "executedQty": 1}).encode()),
        (200, json.dumps({**ORDER, "executedQty": "1e9999"}).encode()),
        (200, b"<html>a captive portal</html>"),
    ],
)
async def test_every_other_answer_proves_nothing(
    trading: Trading, status: int, body: bytes
) -> None:
    """It may or may not have been carried out; one request went out, no redirect is followed."""
    trading.server.answers(status, body, Location=f"{trading.server.url}/api/v3/order")
    outcome = await trading.place()
    assert isinstance(outcome, OutcomeUnknown)
    assert len(outcome.message) < 300
    assert len(trading.server.requests) == 1


@pytest.mark.parametrize("end", ["close", "reset", "hang"])
async def test_no_answer_proves_nothing_and_nothing_is_sent_again(
    trading: Trading, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hung up on, reset, or left waiting: one request on the wire."""
    monkeypatch.setattr(orders, "POST_TIMEOUT", 0.2)
    trading.server.end = end
    assert isinstance(await trading.place(), OutcomeUnknown)
    assert len(trading.server.requests) == 1


async def test_an_unreachable_venue_proves_nothing() -> None:
    """Though nothing can have been sent: the resolver finds that out."""
    async with opened(f"http://127.0.0.1:{quiet_port()}") as (_, placing, _clock):
        assert isinstance(await placing.place(record()), OutcomeUnknown)


async def test_an_order_on_a_stale_connection_is_not_sent_again(trading: Trading) -> None:
    """The server hung up after the last answer, without a word: at most one request arrives."""
    trading.server.answers(200, json.dumps(ORDER).encode())
    trading.server.then_close = True
    await trading.place()
    await trading.server.closed.wait()
    outcome = await trading.place(client_order_id="order-2")
    sent = [r for r in trading.server.requests if r.params["newClientOrderId"] == "order-2"]
    assert len(sent) <= 1
    assert isinstance(outcome, VenueAcceptance if sent else OutcomeUnknown)


async def test_no_proxy_of_the_environment_sees_an_order(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would, with the key in its header."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{quiet_port()}")
    trading.server.answers(200, json.dumps(ORDER).encode())
    assert isinstance(await trading.place(), VenueAcceptance)


async def test_a_cancelled_task_is_cancelled(trading: Trading) -> None:
    """The only thing that place raises."""
    trading.server.end = "hang"
    task = asyncio.create_task(trading.place())
    await eventually(lambda: trading.server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", 60.0)])
async def test_a_ban_that_an_order_runs_into_is_waited_out(
    trading: Trading,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    header: str,
    seconds: float,
) -> None:
    """By everybody: the budget is paused for as long as the venue says."""
    paused: list[float] = []
    monkeypatch.setattr(trading.binance.limits.requests, "pause", paused.append)
    trading.server.answers(status, error(-1003), Retry_After=header)
    await trading.place()
    assert paused == [seconds]


async def test_an_order_of_the_wrong_time_has_the_clock_measured_again(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does a query."""
    doubts: list[None] = []
    monkeypatch.setattr(trading.clock, "doubt", lambda: doubts.append(None))
    trading.server.answers(400, error(-1021, "Timestamp for this request is outside."))
    assert isinstance(await trading.place(), OutcomeUnknown)
    with pytest.raises(TransientError, match="-1021"):
        await trading.orders.find(record())
    assert len(doubts) == 2


async def test_orders_wait_for_the_venues_time_to_be_known(trading: Trading) -> None:
    """And for the budget; what takes too long isn't sent."""
    assert not await trading.orders.ready(0.05)
    trading.server.answers(200, b'{"serverTime":1700000000000}')

    async def fetch() -> int:
        return 1_700_000_000_000

    await trading.clock.measure(fetch)
    assert await trading.orders.ready(0.05)
    trading.binance.limits.requests.pause(60.0)
    assert not await trading.orders.ready(0.05)


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"symbol": "DOGE/USDT"}, "unknown_symbol", "BTC/USDT"),
        ({"client_order_id": ""}, "bad_client_order_id", "1 to 36"),
        ({"client_order_id": "a" * 37}, "bad_client_order_id", "1 to 36"),
        ({"client_order_id": "a.b"}, "bad_client_order_id", "letters"),
        ({"client_order_id": "a&symbol=ETHUSDT"}, "bad_client_order_id", "letters"),
        ({"client_order_id": "ä"}, "bad_client_order_id", "letters"),
        ({"client_order_id": "a\n"}, "bad_client_order_id", "letters"),
    ],
)
def test_an_id_that_binance_refuses_is_rejected_before_it_is_sent(
    fields: dict[str, Any], reason: str, words: str
) -> None:
    """The message says which ids Binance takes."""
    refusal = validated(command(**fields))
    assert isinstance(refusal, Rejection)
    assert refusal.reason_code == reason
    assert words in refusal.message


def test_uuids_of_either_spelling_are_ids_for_binance() -> None:
    """36 characters with dashes, 32 without; and those derived from stream entries."""
    for name in ("550e8400-e29b-41d4-a716-446655440000", "A_-9" * 9, "x1700000000000-0"):
        assert isinstance(validated(command(client_order_id=name)), RoundedOrder)


async def test_an_order_is_found_by_its_client_id(trading: Trading) -> None:
    """By direct query; the search looks through open and all orders since."""
    trading.server.answers(200, json.dumps(ORDER).encode())
    assert await trading.orders.find(record()) == FOUND
    (request,) = trading.server.requests
    assert (request.method, request.path) == ("GET", "/api/v3/order")
    assert request.params["origClientOrderId"] == "order-1"
    trading.server.answers(200, json.dumps([{**ORDER, "clientOrderId": "another"}, ORDER]).encode())
    assert await trading.orders.search(record()) == FOUND
    assert [r.path for r in trading.server.requests[1:]] == [
        "/api/v3/openOrders",
        "/api/v3/allOrders",
    ]
    assert int(trading.server.requests[-1].params["startTime"]) <= record().timestamp
    trading.server.answers(200, b"[]")
    assert await trading.orders.search(record()) is None


async def test_an_order_that_isnt_there_isnt_found(trading: Trading) -> None:
    """-2013, or one that ended long before; every other answer says nothing about the order."""
    trading.server.answers(400, error(-2013, "Order does not exist."))
    assert await trading.orders.find(record()) is None
    for status, body in (
        (400, error(-1001)),
        (401, error(-2015)),
        (404, b""),
        (500, error(-1000)),
        (200, b"{}"),
        (200, b"[]"),
        (200, json.dumps({**ORDER, "executedQty": "-1"}).encode()),
    ):
        trading.server.answers(status, body)
        with pytest.raises(TransientError):
            await trading.orders.find(record())


async def test_what_binance_could_never_have_taken_isnt_asked_for(trading: Trading) -> None:
    """A symbol that it never listed, an id that would be something else in a query string."""
    never = record(command(symbol="DOGE/USDT"), sent_quantity=None)
    assert await trading.orders.find(never) is None
    assert await trading.orders.search(never) is None
    assert await trading.orders.find(record(command(client_order_id="a&orderId=5"))) is None
    assert trading.server.requests == []


NOON = 1_700_049_600_000  # a multiple of ten seconds, and half of a UTC day


async def measured(trading: Trading, venue_time: int) -> None:
    """Let our clock be the venue's, at that time."""

    async def fetch() -> int:
        return venue_time

    await trading.clock.measure(fetch)


TOO_MANY = "Too many new orders; current limit is 50 orders per {}."


@pytest.mark.parametrize(
    ("body", "headers", "most"),
    [
        (error(-1015, TOO_MANY.format("10 SECOND")), {}, 10.0),
        (error(-1015, TOO_MANY.format("1 DAY")), {}, 12 * 3600.0),
        (error(-1015, "Too many new orders."), {}, 10.0),
        (error(-1015), {"Retry_After": "3600"}, 10.0),
        (error(-1015), {"X_MBX_ORDER_COUNT_1D": "160000"}, 12 * 3600.0),
    ],
)
async def test_too_many_orders_have_new_orders_wait_and_nothing_else(
    trading: Trading, body: bytes, headers: dict[str, str], most: float
) -> None:
    """To the end of the interval; it is the account's limit, no ban of the address."""
    await measured(trading, NOON)
    trading.server.answers(429, body, **headers)
    outcome = await trading.place()
    assert isinstance(outcome, Rejection)
    assert outcome.reason_code == "rate_limited"
    limits = trading.binance.limits
    assert most - 5.0 < limits.orders.closed_for < most + 1.0
    assert limits.requests.paused_for == limits.connections.paused_for == 0.0
    assert not await trading.orders.ready(most - 5.0)
    assert len(trading.server.requests) == 1


async def test_a_count_that_reaches_its_limit_has_new_orders_wait_before_they_are_refused(
    trading: Trading,
) -> None:
    """The order itself is placed; the limits are those of exchangeInfo."""
    await measured(trading, NOON)
    assert await trading.orders.ready(0.0)
    order = json.dumps(ORDER).encode()
    trading.server.answers(200, order, X_MBX_ORDER_COUNT_10S="49", X_MBX_ORDER_COUNT_1D="49")
    assert isinstance(await trading.place(), VenueAcceptance)
    assert await trading.orders.ready(0.0)
    limit = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 49}
    trading.server.answers(200, json.dumps({"symbols": [], "rateLimits": [limit]}).encode())
    await trading.binance.instruments([])
    trading.server.answers(200, order, X_MBX_ORDER_COUNT_10S="49", X_MBX_ORDER_COUNT_1D="49")
    assert isinstance(await trading.place(), VenueAcceptance)
    assert not await trading.orders.ready(0.0)
    assert 5.0 < trading.binance.limits.orders.closed_for < 11.0
    assert trading.binance.limits.requests.paused_for == 0.0


async def test_limits_that_exchange_info_does_not_name_stay_as_they_were(trading: Trading) -> None:
    """Nobody takes no limit for a limit of none."""
    before = trading.binance.order_limits
    trading.server.answers(200, b'{"symbols":[]}')
    await trading.binance.instruments([])
    assert trading.binance.order_limits == before


@pytest.mark.parametrize("body", [error(-1003), error("-1015"), b"<html>slow down</html>", b"[]"])
async def test_any_other_429_is_a_ban_of_the_address(trading: Trading, body: bytes) -> None:
    """For requests and connections; new orders wait for those, and for no limit of their own."""
    trading.server.answers(429, body, Retry_After="30")
    await trading.place()
    limits = trading.binance.limits
    assert limits.requests.paused_for == pytest.approx(30.0, abs=5.0)
    assert limits.connections.paused_for == pytest.approx(30.0, abs=5.0)
    assert limits.orders.closed_for == 0.0


async def test_a_418_is_a_ban_whatever_its_body(trading: Trading) -> None:
    """Binance bans addresses, not accounts."""
    trading.server.answers(418, error(-1015))
    await trading.place()
    assert trading.binance.limits.requests.paused_for > 50.0
    assert trading.binance.limits.orders.closed_for == 0.0


@pytest.mark.parametrize("code", sorted(DEFINITIVE))
async def test_a_definitive_refusal_under_a_200_is_one_too(trading: Trading, code: int) -> None:
    """The body is believed; it is no acceptance."""
    trading.server.answers(200, error(code))
    assert isinstance(await trading.place(), Rejection)


@pytest.mark.parametrize(
    "body",
    [
        error(-1000),
        error(-1007),
        error(-9999),
        error(200, "success"),
        error(None),
        error(-2010, "Duplicate order sent."),
        json.dumps({**ORDER, "code": -2010, "msg": "no"}).encode(),
        json.dumps({**ORDER, "code": None}).encode(),
    ],
)
async def test_any_other_no_under_a_200_proves_nothing(trading: Trading, body: bytes) -> None:
    """Nor does a body that says both."""
    trading.server.answers(200, body)
    assert isinstance(await trading.place(), OutcomeUnknown)


async def test_an_order_is_looked_for_whatever_the_settings_say_of_its_symbol(
    trading: Trading,
) -> None:
    """Its name at Binance is the listing's."""
    removed = command(symbol="ETH/USDT")
    for order in (record(removed), record(removed, sent_quantity=None)):
        trading.server.answers(200, json.dumps({**ORDER, "symbol": "ETHUSDT"}).encode())
        found = await trading.orders.find(order)
        assert found is not None
        assert found.order_id == "28"
        trading.server.answers(200, json.dumps([{**ORDER, "symbol": "ETHUSDT"}]).encode())
        assert await trading.orders.search(order) == found
    assert {r.params["symbol"] for r in trading.server.requests} == {"ETHUSDT"}


async def test_an_order_of_a_delisted_symbol_is_not_an_outcome(
    trading: Trading,
) -> None:
    """It was sized by that symbol's rules, so there was one: nobody says that it isn't there."""
    for look in (trading.orders.find, trading.orders.search):
        with pytest.raises(RejectedError, match="doesn't list 'DOGE/USDT'"):
            await look(record(command(symbol="DOGE/USDT")))
    assert trading.server.requests == []
    trading.server.answers(400, error(-1121, "Invalid symbol."))
    for look in (trading.orders.find, trading.orders.search):
        with pytest.raises(RejectedError, match="-1121"):
            await look(record())


async def test_an_archived_order_is_not_a_young_one(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended more than 90 days ago; where ours may be as old, nothing is proved."""
    day = 24 * 3_600_000
    trading.server.answers(400, error(-2026, "Order was archived."))
    for age, known in ((1, True), (88, True), (90, False)):
        now = record().timestamp + age * day
        monkeypatch.setattr(trading.clock, "milliseconds", lambda now=now: now)
        if known:
            assert await trading.orders.find(record()) is None
        else:
            with pytest.raises(RejectedError, match="-2026"):
                await trading.orders.find(record())
