"""A position is what the account holds: the bot's books beside the simulator's own accounting."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common_models import OrderStatusUpdateEvent
from services.bot.lots import Lots
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import BotOrder, Holding
from services.exchange_simulator.account import FeeRates
from services.exchange_simulator.account_order import AccountFill, AccountOrder, NewOrder
from services.exchange_simulator.instruments import Venue, fixed, whole
from services.exchange_simulator.matching import Side
from tests.unit.exchange_simulator.floors import BTC, XBT, Floor

KEY = "flip"
ONE = Decimal(10**8)
LOTS = {
    BTC: Lots(Decimal("0.00001"), Decimal("0.00001"), Decimal(5), Decimal("0.001")),
    XBT: Lots(Decimal("0.000001"), Decimal("0.0001"), Decimal(0), Decimal("0.0025")),
}
BNB = "BNB/USDT"
PRICES = {BTC: "60000.00", XBT: "1400000"}
FEES = {
    BTC: FeeRates(maker=90_000, taker=100_000),
    XBT: FeeRates(maker=100_000, taker=250_000),
}
MARKETS = pytest.mark.parametrize(("exchange", "symbol"), [("binance", BTC), ("luno", XBT)])


class Trader:
    """Trades on an account without coins, and books what it is told of its orders."""

    def __init__(self, exchange: Venue, symbol: str, fees: FeeRates, bnb: str = "0") -> None:
        self.exchange, self.symbol = exchange, symbol
        self.base, _, self.quote = symbol.partition("/")
        others = [BNB] if fees.discount_asset else []
        self.floor = Floor(symbol, *others, funds={self.base: "0", "BNB": bnb})
        self.floor.account.fees = fees
        self.scale = self.floor.markets[symbol].instrument.quantity_scale
        self.money = self.total(self.quote)
        self.portfolio = Portfolio()
        self.orders = 0

    def total(self, asset: str) -> Decimal:
        """What the account has of it."""
        return self.floor.account.balances[asset].total / ONE

    @property
    def held(self) -> Holding:
        """What the books say."""
        return self.portfolio.holding(KEY, self.exchange, self.symbol)

    def trade(self, side: Side, quantity: Decimal, parts: int = 1) -> None:
        """A market order that several orders of others fill, one after the other."""
        lots = whole(f"{quantity:f}", self.scale)
        parts = min(parts, lots)
        self.orders += 1
        name = f"bot-{self.orders}"
        market = (KEY, self.exchange, self.symbol, side)
        self.portfolio.add(BotOrder(name, *market, "market", quantity, None, "so", [], 1.0))
        for part in [lots // parts] * (parts - 1) + [lots - lots // parts * (parts - 1)]:
            self.floor.others(
                self.symbol,
                "sell" if side == "buy" else "buy",
                PRICES[self.symbol],
                fixed(part, self.scale),
            )
        order = self.floor.account.place(NewOrder(self.symbol, name, "market", side, lots))
        assert order.state == "filled"
        for known in range(1, len(order.fills) + 1):
            self.portfolio.handle_status(self.exchange, self._told(order, order.fills[:known]))

    def _told(self, order: AccountOrder, fills: list[AccountFill]) -> OrderStatusUpdateEvent:
        """What a connector publishes once these fills are known."""
        filled = sum(fill.quantity for fill in fills)
        paid: Counter[str] = Counter()
        for fill in fills:
            paid[fill.fee_asset] += fill.fee
        return OrderStatusUpdateEvent(
            order_id=str(order.order_id),
            client_order_id=order.asked.client_id,
            symbol=self.symbol,
            status="filled" if filled == order.asked.quantity else "partially_filled",
            filled_quantity=float(fixed(filled, self.scale)),
            remaining_quantity=float(fixed(order.asked.quantity - filled, self.scale)),
            average_price=float(PRICES[self.symbol]),
            fee={asset: float(amount / ONE) for asset, amount in paid.items()},
            exchange=self.exchange,
        )

    def assert_is_the_account(self) -> None:
        """The books say what the account has more than at the beginning."""
        assert self.held.quantity == self.total(self.base)
        assert self.held.cash == self.total(self.quote) - self.money


@MARKETS
@pytest.mark.timeout(300)
@settings(max_examples=15, deadline=None)
@given(
    fees=st.builds(FeeRates, st.integers(0, 2_000_000), st.integers(0, 2_000_000)),
    trips=st.lists(
        st.tuples(st.integers(100, 200_000), st.integers(1, 4), st.integers(1, 100)), max_size=40
    ),
)
def test_a_position_is_what_the_account_has_more(
    exchange: Venue, symbol: str, fees: FeeRates, trips: list[tuple[int, int, int]]
) -> None:
    """Whatever the fees, the fills of an order, and how much of a position is sold at a time."""
    trader = Trader(exchange, symbol, fees)
    lots = LOTS[symbol]
    for bought, parts, percent in trips:
        trader.trade("buy", bought * lots.lot, parts)
        trader.assert_is_the_account()
        selling = lots.whole(trader.held.quantity * percent / 100)
        if selling:
            trader.trade("sell", selling, parts)
        trader.assert_is_the_account()


@MARKETS
def test_after_a_thousand_trips_all_that_is_held_can_still_be_sold(
    exchange: Venue, symbol: str
) -> None:
    """And what is left is less than the exchange takes, however often: it doesn't add up."""
    trader = Trader(exchange, symbol, FEES[symbol])
    lots, price = LOTS[symbol], Decimal(PRICES[symbol])
    for _ in range(1000):
        trader.trade("buy", Decimal("0.001"))
        trader.trade("sell", lots.tradable(trader.held.quantity, price))
        trader.assert_is_the_account()
        assert 0 <= trader.held.quantity < lots.lot


def test_fees_in_bnb_are_counted_as_paid_until_the_account_has_no_bnb() -> None:
    """The position is the account's with them, after them, and where both come together."""
    fees = FEES[BTC]._replace(discount_asset="BNB")
    trader = Trader("binance", BTC, fees, bnb="0.0099")
    for _ in range(100):
        trader.trade("buy", Decimal("0.001"), parts=3)
        trader.trade("sell", LOTS[BTC].whole(trader.held.quantity), parts=3)
        assert trader.held.quantity == trader.total("BTC")
        spent = Decimal("0.0099") - trader.total("BNB")
        assert trader.held.fees_unvalued["BNB"].amount == spent
    assert 0 < trader.total("BNB") < Decimal("0.00003")  # less than a fee
    counted = trader.held.fees_unvalued["BNB"].counted
    assert trader.held.cash + counted == trader.total("USDT") - trader.money
    # Without the discount: 0.0099 BNB at about 600 are three quarters of it.
    assert Decimal("7.5") < counted < Decimal("8.5")
