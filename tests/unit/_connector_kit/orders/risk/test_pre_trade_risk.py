"""What an order must pass before it is sent: every refusal has its reason, in order."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from services._connector_kit.errors import TransientError
from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.market_data.order_book import Ladder
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import LiveBook, Rejection, RoundedOrder
from services._connector_kit.orders.risk.pre_trade_risk import PreTradeRisk
from services._connector_kit.orders.settings import LIVE, TradingSettings
from services._connector_kit.world import World
from tests.support.attempts import Attempts
from tests.support.orders.commands import RULES, command, record, uncounted

BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True)


@dataclass
class Book:
    """A book in sync, best levels first."""

    bids: Ladder
    asks: Ladder


def book(
    bids: list[tuple[float, float]] | None = None, asks: list[tuple[float, float]] | None = None
) -> Book:
    """99 for 1 and 98 for 2 are bid, 101 for 1 and 102 for 2 asked, unless told otherwise."""
    return Book(
        Ladder("buy", [(99.0, 1.0), (98.0, 2.0)] if bids is None else bids, complete=True),
        Ladder("sell", [(101.0, 1.0), (102.0, 2.0)] if asks is None else asks, complete=True),
    )


def settings(**fields: object) -> TradingSettings:
    """Settings of which these differ from the defaults; quantities are large here."""
    return TradingSettings.model_validate({"risk_max_quantity": "BTC:1000,XRP:1000", **fields})


@dataclass
class Situation:
    """All that the gate looks at."""

    world: World = "simulator"
    settings: TradingSettings = field(default_factory=settings)
    instrument: Instrument = BTC
    book: LiveBook | None = field(default_factory=book)
    limit: Rejection | None = None
    countable: bool = True
    reserved: int = 0
    price: Decimal = Decimal(0)
    fault: Rejection | None = None
    account_fault: Rejection | None = None

    def gate(self) -> PreTradeRisk:
        """The gate in this situation."""
        return PreTradeRisk(
            self.world,
            self.settings,
            RULES,
            {self.instrument.symbol: self.instrument},
            lambda _: self.book,
            self.reserve,
            lambda: self.fault,
            lambda: self.account_fault,
        )

    async def reserve(self, _: Record, price: Decimal) -> Rejection | None:
        """Count it."""
        self.price = price
        if not self.countable:
            raise TransientError("no Redis")
        self.reserved += 1
        return self.limit

    async def reason(self, **fields: object) -> str | None:
        """Why such an order is refused."""
        rejection = await self.gate().check(record(command(**fields)))
        return rejection.reason_code if rejection else None


async def test_an_order_within_every_limit_is_allowed() -> None:
    """Limit or market."""
    assert await Situation().reason() is None
    assert await Situation().reason(type="market") is None


async def test_the_first_reason_counts() -> None:
    """Each that is put right uncovers the next, from the live switch to the halt switch."""
    halted_symbol = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=False)
    now = Situation(
        world="live",
        settings=settings(risk_max_notional="USDT:10"),
        countable=False,
        limit=Rejection("halted", "for a reason"),
        instrument=halted_symbol,
        book=None,
    )
    order = {"price": 110.0, "quantity": 1.0}
    reasons = [await now.reason(**order)]
    now.settings = settings(risk_max_notional="USDT:10", live_trading=LIVE)
    reasons.append(await now.reason(**order))
    now.instrument = BTC
    reasons.append(await now.reason(**order))
    now.book = book()
    reasons.append(await now.reason(**order))
    now.settings = settings(live_trading=LIVE)
    reasons += [await now.reason(**order), await now.reason()]
    now.countable = True
    reasons.append(await now.reason())
    assert reasons == [
        "trading_disabled",
        "symbol_not_trading",
        "book_out_of_sync",
        "max_notional",
        "price_collar",
        "halt_unreadable",
        "halted",
    ]


async def test_a_half_shut_market_takes_orders_that_rest_and_no_others() -> None:
    """Luno's circuit breaker: even a limit order that would rest must say so."""
    half_shut = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True, post_only=True)
    now = Situation(instrument=half_shut)
    order = {"type": "limit", "price": 98.0}
    assert await now.reason(**order) == "post_only_mode"
    assert await now.reason(type="market") == "post_only_mode"
    assert await now.reason(**order, post_only=True) is None


@pytest.mark.parametrize("switch", ["", "yes", "YES-I-MEAN-IT", "true", LIVE + " "])
async def test_live_mode_requires_the_confirmation_phrase(switch: str) -> None:
    """Anything but them is off; a testnet and the simulator don't need them."""
    assert (
        await Situation(world="live", settings=settings(live_trading=switch)).reason()
        == "trading_disabled"
    )
    assert await Situation(world="live", settings=settings(live_trading=LIVE)).reason() is None
    assert await Situation(world="testnet", settings=settings(live_trading=switch)).reason() is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": 9.9, "price": 101.0}, None),
        ({"quantity": 9.91, "price": 101.0}, "max_notional"),
        # A market order is judged by the worst price it would reach.
        ({"quantity": 2.0, "type": "market"}, None),
        ({"quantity": 3.1, "type": "market"}, "no_liquidity"),
        ({"quantity": 3.1, "type": "market", "side": "sell"}, "no_liquidity"),
    ],
)
async def test_an_order_is_worth_no_more_than_allowed(
    fields: dict[str, object], reason: str | None
) -> None:
    """RISK_MAX_NOTIONAL in the quote asset; 1000 USDT here."""
    assert await Situation().reason(**fields) == reason


async def test_a_market_order_counts_with_the_worst_price_it_would_reach() -> None:
    """Two levels deep: 10.0 at 101 is too much already where 102 must pay for all of it."""
    deep = book(asks=[(101.0, 1.0), (104.0, 50.0)])
    now = Situation(book=deep, settings=settings(risk_max_notional="USDT:1011"))
    assert await now.reason(type="market", quantity=1.0) is None
    assert await now.reason(type="market", quantity=10.0) == "max_notional"


async def test_a_quote_asset_without_a_limit_takes_no_orders() -> None:
    """The message says which setting to name it in."""
    now = Situation(settings=settings(risk_max_notional="ZAR:5"))
    rejection = await now.gate().check(record())
    assert rejection is not None
    assert rejection.reason_code == "max_notional"
    assert "USDT" in rejection.message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"side": "buy", "price": 106.05}, None),
        ({"side": "buy", "price": 106.06}, "price_collar"),
        ({"side": "buy", "price": 50.0}, None),
        ({"side": "sell", "price": 94.05}, None),
        ({"side": "sell", "price": 94.04}, "price_collar"),
        ({"side": "sell", "price": 200.0}, None),
    ],
)
async def test_the_collar_binds_buys_above_the_ask_and_sells_below_the_bid(
    fields: dict[str, object], reason: str | None
) -> None:
    """RISK_PRICE_COLLAR of 5 %; the other way round an order only rests."""
    assert await Situation().reason(**fields) == reason


@pytest.mark.parametrize(("side", "far"), [("buy", 107.0), ("sell", 93.0)])
async def test_the_collar_binds_market_orders_by_the_depth_they_reach(
    side: str, far: float
) -> None:
    """A thin book is no reason to trade far off the market."""
    thin = book(
        asks=[(101.0, 0.1), (far if side == "buy" else 102.0, 5.0)],
        bids=[(99.0, 0.1), (far if side == "sell" else 98.0, 5.0)],
    )
    now = Situation(book=thin)
    assert await now.reason(type="market", side=side, quantity=0.1) is None
    assert await now.reason(type="market", side=side, quantity=0.2) == "price_collar"


async def test_a_market_order_is_rejected_if_the_book_is_empty() -> None:
    """On either side."""
    now = Situation(book=book(bids=[], asks=[]))
    assert await now.reason(type="market") == "no_liquidity"


@pytest.mark.parametrize(
    ("fields", "reason", "nearest"),
    [
        ({"side": "buy", "price": 20.0}, None, ""),
        ({"side": "buy", "price": 19.99}, "percent_price", "20"),
        ({"side": "sell", "price": 500.0}, None, ""),
        ({"side": "sell", "price": 500.01}, "percent_price", "500"),
    ],
)
async def test_the_venues_own_bounds_about_the_market_are_kept(
    fields: dict[str, object], reason: str | None, nearest: str
) -> None:
    """Binance's percent price, about the middle of the book; the nearest price is named."""
    share = Range(least=Decimal("0.2"), most=Decimal(5))
    rules = TradingRules(
        price=Range(step=Decimal("0.01")), bid_multiplier=share, ask_multiplier=share
    )
    strict = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True, rules=rules)
    rejection = await Situation(instrument=strict).gate().check(record(command(**fields)))
    assert (rejection.reason_code if rejection else None) == reason
    assert nearest in (rejection.message if rejection else "")


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [(0.0476, "notional_out_of_bounds"), (0.0477, None), (0.05, None)],
)
async def test_a_market_order_is_worth_the_venues_least(
    quantity: float, reason: str | None
) -> None:
    """By the middle of the book, 100; within 5 % the venue's average price may yet be enough."""
    rules = TradingRules(min_market_notional=Decimal(5))
    strict = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=True, rules=rules)
    now = Situation(instrument=strict)
    for side in ("buy", "sell"):
        assert await now.reason(type="market", side=side, quantity=quantity) == reason


async def test_the_venues_least_has_nothing_to_do_with_the_worst_price() -> None:
    """A sell of 5.2 into bids of 1.00 for 2 and 0.90 for 10 is worth 5 to the venue."""
    rules = TradingRules(min_market_notional=Decimal(5))
    thin = Instrument("XRP/USDT", "XRPUSDT", "XRP", "USDT", trading=True, rules=rules)
    bids = [(1.00, 2.0), (0.97, 1.0), (0.90, 10.0)]
    now = Situation(
        instrument=thin,
        book=book(bids=bids, asks=[(1.01, 5.0)]),
        settings=settings(risk_price_collar="0.2"),
    )
    order = {"symbol": "XRP/USDT", "type": "market", "side": "sell", "quantity": 5.2}
    assert await now.reason(**order) is None
    assert await now.reason(**{**order, "quantity": 4.0}) == "notional_out_of_bounds"
    now.book = book(bids=bids, asks=[])
    assert await now.reason(**order) is None
    # What may be risked is counted with the worst price still.
    now.settings = settings(risk_price_collar="0.2", risk_max_notional="USDT:4.67")
    assert await now.reason(**order) == "max_notional"
    now.settings = settings(risk_price_collar="0.2", risk_max_notional="USDT:4.68")
    assert await now.reason(**order) is None


async def test_orders_are_counted_where_they_leave() -> None:
    """What was refused for another reason isn't; what can't be counted doesn't leave."""
    now = Situation()
    assert await now.reason(price=150.0) == "price_collar"
    assert now.reserved == 0
    assert await now.reason() is None
    assert now.reserved == 1
    now.limit = Rejection("orders_per_minute", "wait a little")
    assert await now.reason() == "orders_per_minute"
    now.countable = False
    assert await now.reason() == "halt_unreadable"


async def test_no_quantity_above_the_limit_leaves() -> None:
    """As it would be sent; without a limit for its base asset none does."""
    now = Situation(settings=settings(risk_max_quantity="BTC:0.5"))
    assert await now.reason(quantity=0.5) is None
    assert await now.reason(quantity=0.50001) == "max_quantity"
    assert await now.reason(quantity=0.5, type="market") is None
    assert await now.reason(quantity=0.6, type="market") == "max_quantity"
    now.settings = settings(risk_max_quantity="ETH:10")
    assert await now.reason(quantity=0.001) == "max_quantity"


@pytest.mark.parametrize("code", ["max_position", "max_daily_loss"])
async def test_money_without_a_limit_of_what_is_held_and_lost_isnt_traded(code: str) -> None:
    """As with every other limit by asset; nothing is counted then."""
    now = Situation(settings=settings(**{f"risk_{code}": "ZAR:1000"}))
    assert await now.reason() == code
    assert now.reserved == 0
    now.settings = settings(**{f"risk_{code}": "USDT:0.01"})
    assert await now.reason() is None


async def test_an_order_is_counted_at_the_most_that_it_would_pay() -> None:
    """Its limit, or the worst price of a market order."""
    now = Situation()
    for fields, price in (({"price": 100.5}, "100.5"), ({"type": "market", "quantity": 2}, "102")):
        assert await now.reason(**fields) is None
        assert now.price == Decimal(price)


async def test_nothing_leaves_while_something_is_wrong_with_all_orders() -> None:
    """What is wrong is the answer, whatever the order is."""
    fault = Rejection("redis_unfit", "it forgets")
    assert await Situation(fault=fault).reason() == "redis_unfit"


@pytest.mark.parametrize("code", ["account_unavailable", "key_refused"])
async def test_while_the_account_cant_be_followed_no_order_leaves(code: str) -> None:
    """For the reason that it gives, unless Redis has one already."""
    account = Rejection(code, "the account can't be followed")
    assert await Situation(account_fault=account).reason() == code
    redis = Rejection("redis_unfit", "maxmemory-policy is allkeys-lru")
    assert await Situation(account_fault=account, fault=redis).reason() == "redis_unfit"


def lacking(situation: Situation, symbol: str = "BTC/USDT") -> str | None:
    """What an order should wait for."""
    lacks = situation.gate().wait_reason(symbol)
    return lacks.reason_code if lacks else None


def test_an_order_waits_for_the_account_and_for_the_book() -> None:
    """The account first: without it no symbol can go."""
    down = Rejection("account_unavailable", "the account can't be followed")
    assert lacking(Situation()) is None
    assert lacking(Situation(book=None)) == "book_out_of_sync"
    assert lacking(Situation(book=None, account_fault=down)) == "account_unavailable"
    assert lacking(Situation(account_fault=down)) == "account_unavailable"


def test_an_order_that_is_refused_whatever_comes_doesnt_wait() -> None:
    """Its symbol is unknown or halted, Redis is unfit, the key is refused."""
    unfit, refused = Rejection("redis_unfit", ""), Rejection("key_refused", "")
    halted = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", trading=False)
    assert lacking(Situation(book=None), "DOGE/USDT") is None
    assert lacking(Situation(book=None, instrument=halted)) is None
    assert lacking(Situation(book=None, fault=unfit)) is None
    assert lacking(Situation(book=None, account_fault=refused)) is None


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"side": "sell", "price": 1.0}, "price_collar"),
        ({"side": "sell", "price": 100.99}, "price_collar"),
        ({"side": "sell", "price": 101.0}, None),
        ({"side": "sell", "price": 500.0}, None),
        ({"side": "sell", "price": 95.94, "post_only": True}, "price_collar"),
        ({"side": "sell", "price": 95.95, "post_only": True}, None),
        ({"side": "buy", "price": 99.01}, "price_collar"),
        ({"side": "buy", "price": 1000.0}, "price_collar"),
        ({"side": "buy", "price": 99.0}, None),
        ({"side": "buy", "price": 1.0}, None),
        ({"side": "buy", "price": 103.96, "post_only": True}, "price_collar"),
        ({"side": "buy", "price": 103.95, "post_only": True}, None),
    ],
)
async def test_where_the_other_side_is_empty_an_order_must_rest_at_its_own_sides_price(
    order: dict[str, object], reason: str | None
) -> None:
    """99 is bid or 101 asked, and nothing on the other side; the collar is 5 percent."""
    one_sided = book(bids=[]) if order["side"] == "sell" else book(asks=[])
    assert await Situation(book=one_sided).reason(quantity=0.1, **order) == reason


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("post_only", [False, True])
async def test_no_order_is_sent_into_an_empty_book(side: str, post_only: bool) -> None:
    """Nothing says what it is worth."""
    now = Situation(book=book(bids=[], asks=[]))
    order = {"side": side, "price": 100.0, "quantity": 0.1, "post_only": post_only}
    assert await now.reason(**order) == "price_collar"


async def test_nothing_is_given_away_into_a_book_without_the_other_side(attempt: Attempts) -> None:
    """50 for next to nothing, and nearly any price above; bought at any price, the same."""
    now = Situation(settings=settings(risk_max_notional="USDT:1000000"))
    for side, prices in (("sell", (1.0, 50.0, 95.0, 100.0)), ("buy", (100.0, 110.0, 5000.0))):
        for other_side_only in (False, True):
            now.book = book(
                bids=[] if side == "sell" or other_side_only else None,
                asks=[] if side == "buy" or other_side_only else None,
            )
            for price in prices:
                reason = await now.reason(side=side, price=price, quantity=50.0)
                what = f"{side} far off the market while the other side of the book is empty"
                attempt("bot", what, succeeded=reason is None)
                assert reason == "price_collar"


async def test_rules_and_status_that_change_hold_for_the_next_order() -> None:
    """Instruments are read when they are needed: the listing keeps them up to date."""
    instruments = {BTC.symbol: BTC}
    checks = PreTradeRisk(
        "simulator",
        settings(),
        RULES,
        instruments,
        lambda _: None,
        uncounted,
        lambda: None,
        lambda: None,
    )
    order = command(price=100.7)
    assert checks.validate(order) == RoundedOrder("0.5", "100.7")
    rules = TradingRules(price=Range(Decimal(1), Decimal(1), Decimal(1_000_000)))
    instruments[BTC.symbol] = replace(BTC, trading=False, rules=rules)
    assert checks.validate(order) == RoundedOrder("0.5", "100")
    rejection = await checks.check(record(order))
    assert rejection is not None
    assert rejection.reason_code == "symbol_not_trading"
