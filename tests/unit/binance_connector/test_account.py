"""Binance's account stream, frame by frame: what is heard, what is doubted, what ends it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import (
    ArchivedError,
    FeedStoppedError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.frames import BadFrames
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.account.venue import AccountListener
from services._connector_kit.orders.commands.request_ports import VenueOpenOrder
from services._connector_kit.rate_limit import Priority, RateBudget
from services._connector_kit.venue_stats import SocketStats
from services.binance_connector.account import BinanceAccount, _Session, ban_seconds
from services.binance_connector.rest import SignedRest
from services.binance_connector.settings import BinanceSettings
from tests.support.venues.limits import venue_limits
from tests.support.venues.listings import listing
from tests.support.virtual_time import LoopClock, run_virtually
from tests.unit.binance_connector.test_translate_orders import MY_TRADE, NEW, QUERIED, TRADE

SETTINGS = BinanceSettings.model_construct(
    binance_api_key=SecretStr("key"), binance_api_secret=SecretStr("secret")
)
ETH = Instrument("ETH/BTC", "ETHBTC", "ETH", "BTC", trading=True)


class Stream:
    """One session, and what it made of its frames."""

    def __init__(self) -> None:
        self.listener = AccountListener(AccountHealth(LoopClock()))
        self.bad = BadFrames("test")
        self.bans: list[dict[str, Any]] = []
        self.session = _Session(self.listener, {"ETHBTC": ETH}.get, self.bad, self.ban)

    def ban(self, error: Any) -> float:
        """Note the ban."""
        self.bans.append(error)
        return 42.0

    def says(self, *frames: object) -> list[Any]:
        """What is heard of these frames."""
        for frame in frames:
            self.session.on_text(frame if isinstance(frame, bytes) else json.dumps(frame).encode())
        heard = []
        while not self.listener.queue.empty():
            heard.append(self.listener.queue.get_nowait())
        return heard


def event(content: dict[str, Any]) -> dict[str, Any]:
    """An event as it is wrapped on the wire."""
    return {"subscriptionId": 0, "event": content}


def test_a_subscription_brings_a_comparison() -> None:
    """What happened before it isn't told by the stream."""
    stream = Stream()
    assert stream.says({"id": "subscribe", "status": 200, "result": {"subscriptionId": 0}}) == []
    assert stream.listener.reconcile_requested.is_set()
    assert stream.session._subscribed.is_set()


def test_orders_of_our_symbols_are_received() -> None:
    """Others are none of this connector's business."""
    (one, two) = Stream().says(event(NEW), event(TRADE), event({**NEW, "s": "DOGEUSDT"}))
    assert isinstance(one, OrderStatusReport)
    assert (one.symbol, one.status, two.status) == ("ETH/BTC", "open", "partially_filled")


def test_balances_of_one_millisecond_are_numbered() -> None:
    """As they came; one that came twice is one, as another connection may have got it once."""
    at = 1_564_034_571_073

    def position(free: str, milliseconds: int) -> dict[str, Any]:
        balances = [{"a": "ETH", "f": free, "l": "0"}]
        return event({"e": "outboundAccountPosition", "u": milliseconds, "B": balances})

    sent = [("1", at), ("2", at), ("2", at), ("3", at), ("4", at + 1), ("5", at)]
    said = Stream().says(*(position(*one) for one in sent))
    assert [version - at * 1000 for _, version in said] == [0, 1, 1, 2, 1000, 0]
    crowd = Stream().says(*(position(str(number), at) for number in range(1, 2000)))
    assert max(version for _, version in crowd) == at * 1000 + 999


def test_balances_are_received_or_asked_for() -> None:
    """A position has the new values, an update only what changed."""
    stream = Stream()
    position = {
        "e": "outboundAccountPosition",
        "u": 1_564_034_571_073,
        "B": [{"a": "ETH", "f": "1.5", "l": "0.5"}],
    }
    ((balances, version),) = stream.says(event(position))
    (balance,) = balances
    assert (balance.asset, str(balance.free), str(balance.locked)) == ("ETH", "1.5", "0.5")
    assert version == 1_564_034_571_073_000
    assert not stream.listener.balances_requested.is_set()
    stream.says(event({"e": "balanceUpdate", "a": "BTC", "d": "100.0"}))
    assert stream.listener.balances_requested.is_set()


@pytest.mark.parametrize(
    "frame",
    [
        b"[" * 100_000,
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
    assert stream.listener.reconcile_requested.is_set()


def test_an_unknown_event_is_ignored() -> None:
    """Binance adds some now and then."""
    stream = Stream()
    assert stream.says(event({"e": "listStatus"})) == []
    assert stream.bad.count == 0


@pytest.mark.parametrize("kind", ["serverShutdown", "eventStreamTerminated"])
def test_an_end_of_the_stream_opens_it_again(kind: str) -> None:
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


def trade(number: int, order_id: int, quantity: str = "1") -> dict[str, Any]:
    """A trade of the account."""
    return {**MY_TRADE, "id": number, "orderId": order_id, "qty": quantity}


class Counted:
    """Binance for the comparison: it answers from *trades*, and counts what that costs."""

    def __init__(self) -> None:
        self.sdk = self
        self.limits = venue_limits()
        self.order_limits: Mapping[int, int] = {}
        self.spent: list[tuple[float, int]] = []  # when, and how much
        self.trades: dict[str, list[dict[str, int]]] = {}
        self.open: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        self.unlisted: set[str] = set()
        self.canceled: list[dict[str, Any]] = []
        self.refusal: Exception | None = None

    async def call(
        self,
        weight: int,
        request: Callable[[], Awaitable[Any]],
        priority: Priority = Priority.DATA,
    ) -> Any:
        """Count it."""
        self.spent.append((asyncio.get_running_loop().time(), weight))
        return await request()

    async def get_open_orders(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Of one symbol, or of the account."""
        self._check(symbol)
        return [row for row in self.open if symbol in (None, row["symbol"])]

    async def get_all_orders(
        self,
        symbol: str,
        limit: int,
        startTime: int = 0,  # noqa: N803
        orderId: int = 0,  # noqa: N803
    ) -> list[dict[str, Any]]:
        """Oldest first: from a time or from an id on."""
        rows = [r for r in self.orders if r["symbol"] == symbol]
        return [r for r in rows if r["time"] >= startTime and r["orderId"] >= orderId][:limit]

    async def get_my_trades(
        self,
        symbol: str,
        limit: int,
        fromId: int | None = None,  # noqa: N803
        orderId: int | None = None,  # noqa: N803
    ) -> list[Any]:
        """Those from an id on, or the newest. Oldest first."""
        self._check(symbol)
        rows = [t for t in self.trades.get(symbol, []) if orderId in (None, t["orderId"])]
        if fromId is None:
            return rows[-limit:]
        return [t for t in rows if t["id"] >= fromId][:limit]

    def _check(self, symbol: str | None) -> None:
        if symbol in self.unlisted:
            raise RejectedError("Invalid symbol.", code="-1121")

    async def get_order(self, symbol: str, orderId: int) -> dict[str, Any]:  # noqa: N803
        """An order, without fills where it isn't one of `orders`."""
        if self.refusal is not None:
            raise self.refusal
        for row in self.orders:
            if row["orderId"] == orderId:
                return row
        return {**QUERIED, "symbol": symbol, "orderId": orderId, "executedQty": "0.0"}

    async def cancel_order(self, **params: Any) -> dict[str, Any]:
        """Cancel, whatever it is."""
        self.canceled.append(params)
        return {"orderId": params.get("orderId", 28)}

    async def cancel_all_open_orders(self, symbol: str) -> list[dict[str, Any]]:
        """Cancel those of a symbol."""
        self.canceled.append({"symbol": symbol})
        return [{"orderId": 28}]

    def rest(self, *instruments: Instrument) -> SignedRest:
        """Its signed REST for those symbols."""
        return SignedRest(self, SETTINGS, listing(*instruments), VenueClock())

    def account(self, symbols: int) -> BinanceAccount:
        """An account with so many symbols; its waits are the running loop's."""
        instruments = [
            Instrument(f"A{n}/BTC", f"A{n}BTC", f"A{n}", "BTC", trading=True)
            for n in range(symbols)
        ]
        rest = self.rest(*instruments)
        budget = RateBudget(2400, clock=asyncio.get_running_loop().time)
        listed = listing(*instruments)
        return BinanceAccount(rest, VenueClock(), SETTINGS, listed, budget, SocketStats())

    def most_in_a_minute(self) -> int:
        """The largest weight that any minute saw."""
        return max(
            sum(weight for at, weight in self.spent if start <= at < start + 60)
            for start, _ in self.spent
        )


@pytest.mark.parametrize(("symbols", "weight"), [(1, 6), (13, 78), (14, 80), (100, 80)])
def test_open_orders_are_asked_for_at_once_where_that_is_cheaper(symbols: int, weight: int) -> None:
    """What is open in other symbols is none of this connector's business."""
    binance = Counted()
    binance.open = [{**QUERIED, "symbol": "A0BTC"}, {**QUERIED, "symbol": "OTHER", "orderId": 29}]

    async def look() -> None:
        (report,) = await binance.account(symbols).open_orders()
        assert (report.symbol, report.order_id) == ("A0/BTC", str(QUERIED["orderId"]))

    run_virtually(look())
    assert sum(spent for _, spent in binance.spent) == weight


@pytest.mark.parametrize("symbols", [1, 30, 31, 100, 500])
def test_comparisons_stay_within_half_of_binances_weight(symbols: int) -> None:
    """However many symbols there are, each one's trades are found: in turn, and each once."""
    binance = Counted()
    rounds = 2 + symbols // 30

    async def compare() -> None:
        account = binance.account(symbols)
        _, mark = await account.traded_since(None)
        binance.trades = {f"A{n}BTC": [trade(7, n)] for n in range(symbols)}
        found = []
        for _ in range(rounds):
            await asyncio.sleep(30)
            await account.open_orders()
            traces, mark = await account.traded_since(mark)
            found += [trace.order_id for trace in traces]
        assert sorted(found, key=int) == [str(n) for n in range(symbols)]

    run_virtually(compare())
    assert binance.most_in_a_minute() <= 3000


def test_few_symbols_are_all_looked_at_in_each_comparison() -> None:
    """Nothing placed elsewhere waits for its turn."""
    binance = Counted()

    async def compare() -> None:
        account = binance.account(30)
        _, mark = await account.traded_since(None)
        for n in range(1, 5):
            await asyncio.sleep(30)
            binance.trades = {f"A{i}BTC": [trade(n, i)] for i in range(30)}
            traces, mark = await account.traded_since(mark)
            assert len(traces) == 30

    run_virtually(compare())


async def test_a_search_goes_from_an_hour_before_the_order_to_a_little_after_it() -> None:
    """A thousand orders a page, and no page in vain."""
    binance, sent = Counted(), 1_700_000_000_000
    binance.orders = [
        {**QUERIED, "symbol": "ETHBTC", "orderId": n, "time": sent + (n - 5000) * 1000}
        for n in range(10_000)
    ]
    found = await binance.rest(ETH).orders_since(ETH, sent)
    wanted = {str(n) for n in range(5000 - 3600, 5000 + 60)}
    assert wanted <= {row.order_id for row in found}
    assert [weight for _, weight in binance.spent] == [6] + [20] * 4


FRAME = {
    "id": "subscribe",
    "status": 418,
    "error": {
        "code": -1003,
        "msg": "Way too much request weight used; IP banned until 1659146400000.",
        "data": {"serverTime": 1659142907531, "retryAfter": 1659146400000},
    },
}


@pytest.mark.parametrize("status", [418, 429])
def test_a_ban_of_the_websocket_api_is_obeyed(status: int) -> None:
    """By whoever connects next, and by everybody else."""
    stream = Stream()
    with pytest.raises(RateLimitedError, match="-1003") as caught:
        stream.says({**FRAME, "status": status})
    assert caught.value.retry_after == 42.0
    assert stream.bans == [FRAME["error"]]


def test_any_other_refusal_is_not_a_ban() -> None:
    """Even with a time in it."""
    stream = Stream()
    with pytest.raises(TransientError) as caught:
        stream.says({**FRAME, "status": 400})
    assert type(caught.value) is TransientError
    assert stream.bans == []


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (FRAME["error"], 3492.469),
        ({"data": {"retryAfter": 160_000}}, 60.0),
        ({"data": {"retryAfter": 160_000, "serverTime": None}}, 60.0),
        ({"data": {"retryAfter": 160_000, "serverTime": 150_000}}, 10.0),
        ({"data": {"retryAfter": "soon"}}, None),
        ({"data": {"retryAfter": True}}, None),
        ({"data": {}}, None),
        ({"data": None}, None),
        ({"data": [7]}, None),
        ({}, None),
    ],
)
def test_a_ban_lasts_until_the_moment_it_names(error: Any, seconds: float | None) -> None:
    """By the venue's clock: the answer's, or as we know it."""
    assert ban_seconds(error, 100_000) == seconds


async def test_a_ban_of_the_websocket_api_is_one_of_the_whole_venue() -> None:
    """Its requests and its connections; where it names no time, for the usual one."""
    binance = Counted()
    stats = SocketStats(binance.limits)
    account = BinanceAccount(
        binance.rest(ETH), VenueClock(), SETTINGS, listing(ETH), RateBudget(2400), stats
    )
    assert account._ban({}) == 60.0
    assert binance.limits.requests.paused_for == pytest.approx(60.0, abs=5.0)
    assert account._ban({"data": {"serverTime": 0, "retryAfter": 100_000}}) == 100.0
    assert binance.limits.connections.paused_for == pytest.approx(100.0, abs=5.0)


async def test_a_symbol_that_binance_lists_no_longer_stops_no_comparison() -> None:
    """It has no open orders and no trades; the others are told."""
    binance = Counted()
    binance.unlisted = {"A1BTC"}
    binance.open = [{**QUERIED, "symbol": "A0BTC"}, {**QUERIED, "symbol": "A1BTC"}]
    account = binance.account(3)
    assert [report.symbol for report in await account.open_orders()] == ["A0/BTC"]
    _, mark = await account.traded_since(None)
    binance.trades = {f"A{n}BTC": [trade(7, n)] for n in range(3)}
    traces, _ = await account.traded_since(mark)
    assert [trace.symbol for trace in traces] == ["A0/BTC", "A2/BTC"]


async def test_an_order_of_a_symbol_that_is_listed_though_not_configured_is_served() -> None:
    """It is cancelled, then heard of and compared; a symbol that was never listed isn't."""
    binance = Counted()
    listed = listing(ETH, others=[Instrument("A0/BTC", "A0BTC", "A0", "BTC", trading=True)])
    rest = SignedRest(binance, SETTINGS, listed, VenueClock())
    budget = RateBudget(2400)
    account = BinanceAccount(rest, VenueClock(), SETTINGS, listed, budget, SocketStats())
    binance.open = [{**QUERIED, "symbol": "A0BTC"}]
    assert not account.knows("A0/BTC")
    assert await account.open_orders() == []
    assert await account.cancel("A0/BTC", order_id="5", client_order_id=None, keep="ours") == "5"
    assert binance.canceled == [{"symbol": "A0BTC", "orderId": 5, "newClientOrderId": "ours"}]
    assert account.knows("A0/BTC")
    assert [report.symbol for report in await account.open_orders()] == ["A0/BTC"]
    with pytest.raises(RejectedError, match="doesn't list 'DOGE/BTC'"):
        await account.cancel("DOGE/BTC", order_id="5", client_order_id=None)


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ({"client_order_id": "a"}, {"origClientOrderId": "a", "newClientOrderId": "a"}),
        ({"order_id": "5", "keep": "a"}, {"orderId": 5, "newClientOrderId": "a"}),
        (
            {"order_id": "5", "client_order_id": "b", "keep": "a"},
            {"orderId": 5, "origClientOrderId": "b", "newClientOrderId": "a"},
        ),
        # What somebody else called it can't be sent: it is cancelled all the same.
        ({"order_id": "5", "keep": "web/a:1"}, {"orderId": 5}),
        # Nobody knows what it is called: Binance is asked first.
        ({"order_id": "28"}, {"orderId": 28, "newClientOrderId": QUERIED["clientOrderId"]}),
    ],
)
async def test_an_order_that_is_cancelled_keeps_its_client_id(
    named: dict[str, str], sent: dict[str, Any]
) -> None:
    """However it was named: Binance would give it the cancel's own."""
    binance = Counted()
    account = binance.account(1)
    ids = {"order_id": None, "client_order_id": None}
    await account.cancel("A0/BTC", **{**ids, **named})
    assert binance.canceled == [{"symbol": "A0BTC", **sent}]


async def test_trades_whose_ids_restart_are_read_from_the_first_on() -> None:
    """On a testnet that was reset; asked about once a connection, and only where nothing is new."""
    binance = Counted()
    account = binance.account(1)
    binance.trades = {"A0BTC": [trade(5000, 1)]}
    _, mark = await account.traded_since(None)
    assert await account.traded_since(mark) == ([], mark)
    asked = len(binance.spent)
    assert await account.traded_since(mark) == ([], mark)
    assert len(binance.spent) == asked + 1
    binance.trades = {"A0BTC": [trade(10, 1), trade(11, 2)]}
    assert await account.traded_since(mark) == ([], mark)  # not yet: it is the same connection
    again = binance.account(1)
    traces, mark = await again.traded_since(mark)
    assert [(t.trade_id, t.order_id, t.milliseconds) for t in traces] == [
        ("10", "1", MY_TRADE["time"]),
        ("11", "2", MY_TRADE["time"]),
    ]
    assert json.loads(mark) == {"A0BTC": 11}
    assert await again.traded_since(mark) == ([], mark)


async def test_an_account_without_any_trade_restarts_too() -> None:
    """The mark falls to nothing, so that the first trade is found."""
    binance = Counted()
    account = binance.account(1)
    assert await account.traded_since('{"A0BTC": 5000}') == ([], '{"A0BTC":0}')
    binance.trades = {"A0BTC": [trade(10, 1)]}
    traces, _ = await account.traded_since('{"A0BTC":0}')
    assert [t.trade_id for t in traces] == ["10"]


async def test_all_fills_of_an_order_are_fetched_however_many() -> None:
    """A thousand a page; what filled since the order was read is left to the next report."""
    binance = Counted()
    order = {**QUERIED, "symbol": "ETHBTC", "orderId": 28, "executedQty": "2500"}
    binance.orders = [order]
    binance.trades = {"ETHBTC": [trade(n, 28 + n % 2) for n in range(2 * 2503)]}
    rest = binance.rest(ETH)
    report = await rest.report(ETH, order_id="28", client_order_id=None)
    assert [f.trade_id for f in report.fills] == [str(2 * n) for n in range(2500)]
    assert [weight for _, weight in binance.spent] == [4, 5, 5, 5]


async def test_fewer_fills_than_executed_are_reported_as_they_are() -> None:
    """The venue shows them later."""
    binance = Counted()
    binance.orders = [{**QUERIED, "symbol": "ETHBTC", "orderId": 28, "executedQty": "3"}]
    binance.trades = {"ETHBTC": [trade(2, 28), trade(1, 28)]}
    report = await binance.rest(ETH).report(ETH, order_id="28", client_order_id=None)
    assert [f.trade_id for f in report.fills] == ["1", "2"]


@pytest.mark.parametrize(("code", "error"), [("-2026", ArchivedError), ("-2013", RejectedError)])
async def test_an_archived_order_is_another_no_than_an_unknown_one(
    code: str, error: type[Exception]
) -> None:
    """It ended without a fill; of the other nothing is known."""
    binance = Counted()
    binance.refusal = RejectedError("no", code=code)
    with pytest.raises(error) as found:
        await binance.rest(ETH).report(ETH, order_id="28", client_order_id=None)
    assert type(found.value) is error


def test_all_orders_of_a_symbol_are_cancelled_by_one_request() -> None:
    """And a single one that is known by one as well, which lets it keep its client order id."""
    binance = Counted()

    async def stop() -> None:
        account = binance.account(1)
        assert await account.stop_all("A0/BTC")
        await account.stop(VenueOpenOrder("A0/BTC", "28", "ours"))

    run_virtually(stop())
    single = {"symbol": "A0BTC", "orderId": 28, "newClientOrderId": "ours"}
    assert binance.canceled == [{"symbol": "A0BTC"}, single]
    assert [weight for _, weight in binance.spent] == [1, 1]


def test_a_delisted_symbol_hides_nothing_of_the_others() -> None:
    """What became of its orders can't be asked any more; of the others it can."""
    binance = Counted()
    binance.orders = [{**QUERIED, "symbol": "A0BTC", "orderId": 7, "executedQty": "0"}]
    wanted = [VenueOpenOrder("GONE/BTC", "3", None), VenueOpenOrder("A0/BTC", "7", None)]

    async def ask() -> None:
        found = await binance.account(1).became(wanted)
        assert [report.order_id for report in found] == ["7"]

    run_virtually(ask())


def test_what_became_of_cancelled_orders_is_asked_for_by_one_listing() -> None:
    """Page by page up to the last of them; the fills of those that have some, besides."""
    binance = Counted()
    binance.orders = [
        {**QUERIED, "symbol": "A0BTC", "orderId": n, "executedQty": "3" if n == 1500 else "0"}
        for n in range(1, 3000)
    ]
    trade: Any = {**MY_TRADE, "symbol": "A0BTC", "orderId": 1500, "qty": "3"}
    binance.trades["A0BTC"] = [trade]
    wanted = [VenueOpenOrder("A0/BTC", str(n), None) for n in (700, 1500, 1701, 5000)]

    async def ask() -> None:
        found = await binance.account(1).became(wanted)
        assert [report.order_id for report in found] == ["700", "1500", "1701"]
        assert [len(report.fills) for report in found] == [0, 1, 0]

    run_virtually(ask())
    assert [weight for _, weight in binance.spent] == [20, 5, 20, 20]
