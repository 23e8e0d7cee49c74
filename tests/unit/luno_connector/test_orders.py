"""Orders on Luno over real HTTP: what is sent, how often, and what every answer proves."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from common_models import PlaceOrderCommand
from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import RejectedError, TransientError
from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.market_data.order_book import LevelBook
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.validation import OrderRules, validate
from services._connector_kit.orders.ports import (
    LiveBook,
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    RoundedOrder,
    VenueAcceptance,
    VenueOrder,
)
from services.luno_connector import client as luno_client
from services.luno_connector.accounts import Accounts
from services.luno_connector.client import Luno, open_luno
from services.luno_connector.orders import DEFINITIVE, LunoOrders, order_rules
from services.luno_connector.rest_orders import OrderRest
from services.luno_connector.settings import KEY_HELP, KEY_REFUSED, LunoSettings
from tests.support.eventually import eventually
from tests.support.orders.commands import command, record
from tests.support.ports import quiet_port
from tests.support.venues.listings import listing
from tests.support.venues.raw_http import RawServer, raw_server

XBT = Instrument(
    "XBT/ZAR",
    "XBTZAR",
    "XBT",
    "ZAR",
    trading=True,
    rules=TradingRules(
        price=Range(Decimal(1), Decimal(10), Decimal(100_000)),
        quantity=Range(Decimal("0.000001"), Decimal("0.0001"), Decimal(100)),
    ),
)
TAKEN = b'{"order_id":"BX1"}'
ORDER = {
    "order_id": "BX1",
    "client_order_id": "order-1",
    "pair": "XBTZAR",
    "side": "BUY",
    "status": "PENDING",
    "limit_volume": "0.5",
    "base": "0.10",
    "counter": "10.00",
    "creation_timestamp": 1_700_000_000_000,
}
FOUND = VenueOrder(
    *("BX1", "order-1", "0.10", "XBT/ZAR", "buy"),
    quantity="0.5",
    created=1_700_000_000_000,
)


def order(**fields: Any) -> Record:
    """The record of an order on XBT/ZAR."""
    return record(command(**{"symbol": "XBT/ZAR", **fields}))


@dataclass
class Trading:
    """The connector's own parts, at a server that a test has in its hand."""

    server: RawServer
    luno: Luno
    orders: LunoOrders
    rules: OrderRules
    clock: VenueClock
    books: dict[str, LiveBook]

    def validate(self, order: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """The order that would be sent, by the rules that Luno's connector declares."""
        return validate(order, {XBT.symbol: XBT}, self.rules)

    async def place(self, **fields: Any) -> PlaceOutcome:
        """Place an order."""
        return await self.orders.place(order(**fields))


@asynccontextmanager
async def opened(server: RawServer, **more: Any) -> AsyncIterator[Trading]:
    """The client and what places orders through it, at that server."""
    settings = LunoSettings.model_construct(
        **more,
        luno_rest_url=server.url,
        luno_api_key_id=SecretStr("key"),
        luno_api_secret_key=SecretStr("secret"),
    )
    books: dict[str, LiveBook] = {}
    clock = VenueClock()

    async with open_luno(settings) as luno:
        listed = listing(XBT)
        rest = OrderRest(luno, listed, Accounts({}))
        placing = LunoOrders(rest, luno.limits, clock, listed, 5000)
        rules = order_rules(books.get, settings.luno_market_buy_slippage)
        yield Trading(server, luno, placing, rules, clock, books)


@pytest.fixture
async def trading() -> AsyncIterator[Trading]:
    """Ready to place."""
    async with raw_server() as server, opened(server) as trading:
        yield trading


def error(code: object, message: str = "no") -> bytes:
    """Luno's form of an error."""
    return json.dumps({"error": message, "error_code": code}).encode()


FENCE = {"client_order_id": "order-1", "timestamp": "1700000000000", "ttl": "5000"}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {"type": "BID", "time_in_force": "GTC"}),
        ({"side": "sell"}, {"type": "ASK", "time_in_force": "GTC"}),
        ({"time_in_force": "IOC"}, {"type": "BID", "time_in_force": "IOC"}),
        ({"time_in_force": "FOK"}, {"type": "BID", "time_in_force": "FOK"}),
        ({"post_only": True}, {"type": "BID", "time_in_force": "GTC", "post_only": "True"}),
    ],
)
async def test_a_limit_order_is_posted_once_with_the_journaled_time(
    trading: Trading, fields: dict[str, Any], wanted: dict[str, str]
) -> None:
    """The documented parameters and no other; the key by HTTP Basic."""
    trading.server.answers(200, TAKEN)
    trading.clock.offset = 1_000_000  # whatever our clock says meanwhile
    assert await trading.place(**fields) == VenueAcceptance(VenueOrder("BX1", "order-1", "0"))
    (request,) = trading.server.requests
    assert (request.method, request.path) == ("POST", "/api/1/postorder")
    assert request.headers["authorization"] == "Basic " + b64encode(b"key:secret").decode()
    assert request.params == {
        "pair": "XBTZAR",
        "volume": "0.5",
        "price": "100",
        **FENCE,
        **wanted,
    }


async def test_a_market_sell_sells_base_units(trading: Trading) -> None:
    """Luno's own market order."""
    trading.server.answers(200, TAKEN)
    assert isinstance(await trading.place(type="market", side="sell"), VenueAcceptance)
    (request,) = trading.server.requests
    assert (request.method, request.path) == ("POST", "/api/1/marketorder")
    assert request.params == {"pair": "XBTZAR", "type": "SELL", "base_volume": "0.5", **FENCE}


async def test_a_market_buy_is_an_ioc_limit_with_a_cap(trading: Trading) -> None:
    """The price that the book asks for that much, and one per cent, on the next tick."""
    trading.books["XBT/ZAR"] = LevelBook(
        1, [(99.0, 1.0)], [(101.0, 0.3), (103.0, 0.1), (250.0, 5.0)], limit=10
    )
    sized = trading.validate(command(symbol="XBT/ZAR", type="market", quantity=0.4))
    assert sized == RoundedOrder("0.4", "105")  # 103 x 1.01 = 104.03
    trading.server.answers(200, TAKEN)
    sent = order(type="market", quantity=0.4)
    await trading.orders.place(
        Record(
            **{
                name: getattr(sent, name)
                for name in sent.__struct_fields__
                if (name != "sent_price")
            },
            sent_price="105",
        )
    )
    (request,) = trading.server.requests
    assert request.path == "/api/1/postorder"
    assert request.params == {
        "pair": "XBTZAR",
        "type": "BID",
        "volume": "0.4",
        "price": "105",
        "time_in_force": "IOC",
        **FENCE,
    }


def test_a_market_buy_needs_a_book(trading: Trading) -> None:
    """In sync, and with that much in it."""
    buy = command(symbol="XBT/ZAR", type="market", quantity=0.4)
    blind = trading.validate(buy)
    trading.books["XBT/ZAR"] = LevelBook(1, [(99.0, 1.0)], [(101.0, 0.3)], limit=10)
    thin = trading.validate(buy)
    assert isinstance(blind, Rejection)
    assert isinstance(thin, Rejection)
    assert (blind.reason_code, thin.reason_code) == ("book_out_of_sync", "no_liquidity")


@pytest.mark.parametrize(("slippage", "price"), [("0.001", "102"), ("0.05", "107")])
async def test_how_far_a_market_buy_may_go_is_a_setting(slippage: str, price: str) -> None:
    """A share of the price that the book asks for."""
    given = {"luno_market_buy_slippage": Decimal(slippage)}
    async with raw_server() as server, opened(server, **given) as trading:
        trading.books["XBT/ZAR"] = LevelBook(1, [(99.0, 1.0)], [(101.0, 9.0)], limit=10)
        sized = trading.validate(command(symbol="XBT/ZAR", type="market", quantity=0.4))
        assert sized == RoundedOrder("0.4", price)


@pytest.mark.parametrize("code", sorted(DEFINITIVE))
async def test_only_a_definitive_refusal_means_that_there_is_no_order(
    trading: Trading, code: str
) -> None:
    """The codes of the list, and Luno's words with them."""
    trading.server.answers(400, error(code, "because"))
    outcome = await trading.place()
    assert isinstance(outcome, Rejection)
    wanted = "rate_limited" if code == "ErrTooManyRequests" else "exchange_rejected"
    assert outcome.reason_code == wanted
    assert f"Luno: {code} because" in outcome.message
    assert outcome.about_key == (code in KEY_REFUSED) == (KEY_HELP in outcome.message)
    assert len(trading.server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"", "exchange_rejected"),
        (429, b"<html>slow down</html>", "rate_limited"),
        (429, error("ErrTooManyRequests"), "rate_limited"),
    ],
)
async def test_a_refused_key_and_a_full_budget_are_definitive(
    trading: Trading, status: int, body: bytes, reason: str
) -> None:
    """By their status alone: Luno looks at no order then."""
    trading.server.answers(status, body)
    outcome = await trading.place()
    assert isinstance(outcome, Rejection)
    assert outcome.reason_code == reason
    assert outcome.about_key == (status == 401)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, error("ErrDuplicateClientOrderID")),
        (400, error("ErrDeadlineExceeded")),
        (400, error("ErrInternal")),
        (400, error("ErrInvalidTimestamp")),
        (400, error("ErrOrderNotFound")),
        (400, error("ErrTimeout")),
        (400, error("ErrOrderCanceled")),
        (400, error("ErrNobodyKnewThis")),
        (400, error(None)),
        (400, error(["ErrInvalidPrice"])),
        (400, b'{"message":"boom"}'),
        (400, b""),
        (403, b"<html>WAF</html>"),
        (404, b""),
        (500, error("ErrInvalidPrice")),
        (500, b'{"message":"boom"}'),
        (502, b"<html>bad gateway</html>"),
        (503, error("ErrUnderMaintenance")),
        (301, b""),
        (302, b""),
        (307, b""),
        (308, TAKEN),
        (200, b""),
        (200, b"null"),
        (200, b"[]"),
        (200, b'["error","error_code"]'),
        (200, b"28"),
        (200, b"{}"),
        (200, b'{"order_id":'),
        (200, b'{"order_id":null}'),
        (200, b'{"order_id":""}'),
        (200, b'{"order_id":7}'),
        (200, b"\xff\xfe{}"),
        (200, b"[" * 100_000),
        (200, b'{"message":"boom"}'),
        (200, b"<html>a captive portal</html>"),
        (200, b'{"order_id":"BX1","error_code":"ErrInvalidPrice","error":"no"}'),
        (400, b'{"order_id":"BX1","error_code":"ErrInvalidPrice","error":"no"}'),
    ],
)
async def test_every_other_answer_proves_nothing(
    trading: Trading, status: int, body: bytes
) -> None:
    """It may or may not have been carried out; one request went out, no redirect is followed."""
    trading.server.answers(status, body, Location=f"{trading.server.url}/api/1/postorder")
    outcome = await trading.place()
    assert isinstance(outcome, OutcomeUnknown)
    assert len(outcome.message) < 300
    assert len(trading.server.requests) == 1


@pytest.mark.parametrize("end", ["close", "reset", "hang"])
async def test_no_answer_proves_nothing_and_nothing_is_sent_again(
    trading: Trading, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hung up on, reset, or left waiting: one request on the wire."""
    monkeypatch.setattr(luno_client, "CALL_TIMEOUT", 0.3)
    trading.server.end = end
    assert isinstance(await trading.place(), OutcomeUnknown)
    assert len(trading.server.requests) == 1


async def test_an_unreachable_venue_proves_nothing() -> None:
    """Though nothing can have been sent: the resolver finds that out."""
    async with opened(RawServer(url=f"http://127.0.0.1:{quiet_port()}")) as trading:
        assert isinstance(await trading.place(), OutcomeUnknown)


async def test_an_order_on_a_stale_connection_is_not_sent_again(trading: Trading) -> None:
    """The server hung up after the last answer, without a word: at most one request arrives."""
    trading.server.answers(200, TAKEN)
    trading.server.then_close = True
    await trading.place()
    await trading.server.closed.wait()
    outcome = await trading.place(client_order_id="order-2")
    sent = [r for r in trading.server.requests if r.params["client_order_id"] == "order-2"]
    assert len(sent) <= 1
    assert isinstance(outcome, VenueAcceptance if sent else OutcomeUnknown)


async def test_no_proxy_of_the_environment_sees_an_order(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would, with the key in its header."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{quiet_port()}")
    trading.server.answers(200, TAKEN)
    assert isinstance(await trading.place(), VenueAcceptance)


async def test_a_cancelled_task_is_cancelled(trading: Trading) -> None:
    """The only thing that place raises."""
    trading.server.end = "hang"
    task = asyncio.create_task(trading.place())
    await eventually(lambda: trading.server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry_After": "7"}, 7.0), ({}, luno_client.USUAL_BAN)]
)
async def test_a_429_that_an_order_runs_into_pauses_everybody(
    trading: Trading, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: float
) -> None:
    """For as long as Luno says, or for our own time."""
    paused: list[float] = []
    monkeypatch.setattr(trading.luno.limits.requests, "pause", paused.append)
    trading.server.answers(429, error("ErrTooManyRequests"), **headers)
    await trading.place()
    assert paused == [seconds]


async def test_orders_wait_for_the_venues_time_to_be_known(trading: Trading) -> None:
    """It is the date of its answers, to the second; and for the budget."""
    assert not await trading.orders.ready(0.05)
    trading.server.answers(200, b'{"tickers":[]}', Date="Tue, 14 Nov 2023 22:13:20 GMT")
    trading.luno._settings = LunoSettings.model_construct(luno_symbols=("XBT/ZAR",))
    assert await trading.luno.milliseconds() == 1_700_000_000_500
    await trading.clock.measure(trading.luno.milliseconds)
    assert await trading.orders.ready(0.05)
    trading.luno.limits.requests.pause(60.0)
    assert not await trading.orders.ready(0.05)


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"client_order_id": ""}, "bad_client_order_id", "1 to 255"),
        ({"client_order_id": "a" * 256}, "bad_client_order_id", "1 to 255"),
        ({"client_order_id": "a:b"}, "bad_client_order_id", "letters"),
        ({"client_order_id": "a/b"}, "bad_client_order_id", "letters"),
        ({"client_order_id": "a\n"}, "bad_client_order_id", "letters"),
    ],
)
def test_an_id_that_luno_refuses_is_rejected_before_it_is_sent(
    trading: Trading, fields: dict[str, Any], reason: str, words: str
) -> None:
    """The message says which ids Luno takes."""
    refusal = trading.validate(command(**{"symbol": "XBT/ZAR", **fields}))
    assert isinstance(refusal, Rejection)
    assert refusal.reason_code == reason
    assert words in refusal.message


async def test_an_order_is_found_by_its_client_id(trading: Trading) -> None:
    """By direct query; the search looks through open and closed orders."""
    trading.server.answers(200, json.dumps(ORDER).encode())
    assert await trading.orders.find(order()) == FOUND
    (request,) = trading.server.requests
    assert (request.method, request.path) == ("GET", "/api/exchange/3/order")
    assert request.params == {"client_order_id": "order-1"}
    another = {**ORDER, "order_id": "BX0", "client_order_id": "another"}
    rows = {"orders": [another, ORDER]}
    trading.server.answers(200, json.dumps(rows).encode())
    assert await trading.orders.search(order()) == FOUND
    assert [r.params["closed"] for r in trading.server.requests[1:]] == ["False", "True"]
    trading.server.answers(200, b'{"orders":null}')
    assert await trading.orders.search(order()) is None


async def test_a_search_looks_at_the_hour_before_too(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order may have been sent for an earlier entry that Redis lost."""
    since: list[int] = []

    async def orders(moment: int, instrument: Instrument | None) -> Sequence[VenueOrder]:
        since.append(moment)
        return []

    monkeypatch.setattr(trading.orders._rest, "orders", orders)
    assert await trading.orders.search(order()) is None
    assert since == [order().timestamp - 3_600_000]


async def test_an_order_that_isnt_there_isnt_found(trading: Trading) -> None:
    """ErrOrderNotFound, or a 404 without a word; every other answer says nothing about it."""
    for body in (error("ErrOrderNotFound"), b""):
        trading.server.answers(404, body)
        assert await trading.orders.find(order()) is None
    for status, body in (
        (401, b""),
        (404, b"<html>not found</html>"),
        (500, error("ErrOrderNotFound")),
        (200, b"{}"),
        (200, b"[]"),
        (200, json.dumps({**ORDER, "base": "-1"}).encode()),
        (200, json.dumps({**ORDER, "order_id": None}).encode()),
    ):
        trading.server.answers(status, body)
        with pytest.raises(TransientError):
            await trading.orders.find(order())


async def test_an_empty_404_elsewhere_says_nothing_about_the_order(trading: Trading) -> None:
    """The list has no such answer: it must be something in front of Luno."""
    trading.server.answers(404, b"")
    with pytest.raises(TransientError, match="404"):
        await trading.orders.search(order())


async def test_a_query_that_luno_refuses_is_not_an_outcome(trading: Trading) -> None:
    """Asking again at once won't help; of a refused key it says nothing about the order."""
    trading.server.answers(400, error("ErrLimitOutOfRange"))
    for look in (trading.orders.find, trading.orders.search):
        with pytest.raises(RejectedError, match="ErrLimitOutOfRange"):
            await look(order())
    trading.server.answers(403, error("ErrInsufficientPerms"))
    for look in (trading.orders.find, trading.orders.search):
        with pytest.raises(TransientError, match="ErrInsufficientPerms"):
            await look(order())


async def test_an_order_is_looked_for_whatever_the_settings_say_of_its_symbol(
    trading: Trading,
) -> None:
    """Luno's order has its pair, and its list has all of them."""
    removed = order(symbol="ETH/ZAR")
    row = {**ORDER, "pair": "ETHZAR"}
    trading.server.answers(200, json.dumps(row).encode())
    found = await trading.orders.find(removed)
    assert found is not None
    assert found.order_id == "BX1"
    trading.server.answers(200, json.dumps({"orders": [row]}).encode())
    assert await trading.orders.search(removed) == found
    assert all("pair" not in request.params for request in trading.server.requests)


async def test_an_order_of_another_pair_is_not_taken_for_one_of_ours(trading: Trading) -> None:
    """Its symbol tells it from ours; of a pair that isn't listed any more nobody can say."""
    row = {**ORDER, "pair": "ETHZAR"}
    for asked, symbol in ((order(), "ETHZAR"), (order(symbol="ETH/ZAR"), None)):
        trading.server.answers(200, json.dumps(row).encode())
        found = await trading.orders.find(asked)
        assert found is not None
        assert found.symbol == symbol
    trading.server.answers(200, json.dumps({"orders": [row]}).encode())
    searched = await trading.orders.search(order())
    assert searched is not None
    assert searched.symbol == "ETHZAR"


async def test_what_luno_could_never_have_taken_isnt_asked_for(trading: Trading) -> None:
    """An id with characters that it doesn't take."""
    assert await trading.orders.find(order(client_order_id="a b")) is None
    assert trading.server.requests == []
