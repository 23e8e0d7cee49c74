"""What a strategy is: a class whose `on_…` methods return what it would do. For plugins.

A strategy sees its market and nothing else: no Redis, no exchange, no clock. What it returns is an
intent; whether that becomes an order is decided elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from common_models import AccountBalanceEvent, IndicatorValue, OrderBook, Ticker, Trade
from common_models.fields import OrderType, Side
from services.bot import parameters


class StaleDataError(Exception):
    """What was asked for isn't there, or can't be relied on; the message says why."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a strategy would do, and why.

    `quantity` is in the base asset; None: what STRATEGIES names. Without a `price` it is a market
    order, else a limit order that rests until it is filled, or a `Cancel` ends it.

    Raises:
        TypeError | ValueError: it is no order; the message names the field.
    """

    side: Side
    reason: str
    quantity: Decimal | None = None
    price: Decimal | None = None

    def __post_init__(self) -> None:
        if self.side not in ("buy", "sell"):
            raise ValueError(f"side={self.side!r}: want 'buy' or 'sell'")
        if not self.reason:
            raise ValueError("reason='': want a sentence that says why")
        for name in ("quantity", "price"):
            value: object = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Decimal):
                raise TypeError(f"{name}={value!r}: want a Decimal, e.g. Decimal('0.001')")
            if not value.is_finite() or value <= 0:
                raise ValueError(f"{name}={value}: want a number greater than 0")

    @property
    def type(self) -> OrderType:
        """As commands call it."""
        return "market" if self.price is None else "limit"


@dataclass(frozen=True, slots=True)
class Cancel:
    """The strategy's open order shall be cancelled, and why; without one nothing happens.

    Of several it is the one with this `id`; None: all. Until it is known to be cancelled an order
    may still trade: `on_order` tells.

    Raises:
        ValueError: it gives no reason.
    """

    reason: str
    id: str | None = None

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("reason='': want a sentence that says why")


Action = Intent | Cancel
# What a strategy's method returns: they are considered one after the other.
Actions = Action | Sequence[Action] | None


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """An order of this strategy that may still trade.

    `status` is `deciding` (not sent yet), `sent` (not answered yet), or the exchange's; `price` is
    None for a market order. `cancelling`: its end was asked for.
    """

    id: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    filled_quantity: Decimal
    status: str
    cancelling: bool


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """What became of an order of this strategy, and its `id` as in `Market.orders`.

    `status` is the exchange's as in `order_status`, `rejected` where there is no order, or `lost`
    where no connector knows it and it can't come any more.
    """

    side: Side
    quantity: Decimal
    status: str
    filled_quantity: Decimal
    average_price: Decimal | None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """An intent of which nothing came, and why; `price` is None for a market order.

    `reason_code` is that of the bot's refusal, or of the answer to the order; where the order ended
    without a fill it is its status.
    """

    side: Side
    quantity: Decimal
    reason_code: str
    message: str
    price: Decimal | None = None


class Quotes(Protocol):
    """What one market is like, as far as the bot knows it.

    Each question raises StaleDataError where the answer can't be relied on; nobody needs to catch
    it: the bot takes note, and the strategy goes on with the next message.
    """

    exchange: str
    symbol: str

    def ticker(self) -> Ticker:
        """The latest ticker."""

    def order_book(self) -> OrderBook:
        """The latest book."""

    def trades(self) -> tuple[Trade, ...]:
        """The latest trades, oldest first; at most a thousand."""

    def balance(self, asset: str) -> AccountBalanceEvent:
        """The account's balance of an asset, on this market's exchange."""


class Market(Quotes, Protocol):
    """The market that a strategy trades on."""

    quantity: Decimal

    @property
    def position(self) -> Decimal:
        """What this strategy holds: bought less sold, less the fees taken in the base asset.

        0 where the exchange takes no order of so little: that is dust.
        """

    @property
    def pending(self) -> bool:
        """True while an order of this strategy may still trade."""

    @property
    def orders(self) -> tuple[OwnOrder, ...]:
        """The orders of this strategy that may still trade, oldest first."""

    def indicator(self, name: str) -> IndicatorValue:
        """The latest value of one of the strategy's `indicators`."""

    def other(self, name: str) -> Quotes:
        """Another market, one of the strategy's `markets`: `other("luno:XBT/ZAR")`."""


class Strategy:
    """The base of every strategy: it does nothing.

    `indicators` are the names of the values that it wants, as in their streams: `("rsi_14",)`.
    Parameters are fields of the class, `fast: int = Field(20, ge=1)`, and each instance has its own
    values: `self.fast`. One may stand in a name: `indicators = ("sma_{fast}",)`.
    `markets` are others that it looks at beside its own, which alone it trades on:
    `("luno:XBT/ZAR",)`. Their tickers, books and trades come to the same methods.
    `timer_seconds`, 1 to 86400, asks for `on_timer`. `max_orders`, 1 to 20, is how many of its
    orders may be open at once: a method may return several wishes, and those beyond are refused.
    What must outlive a restart is kept in `state`, which holds what JSON can: it is saved together
    with how far the streams were read, so nothing is seen twice and nothing is left out. An intent
    may come to nothing: what happened is `position` and `on_order`, not what was wanted.
    """

    indicators: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    timer_seconds: float | None = None
    max_orders: int = 1

    def __init__(self, market: Market, **given: object) -> None:
        """*given* are parameters; the others are as the class says.

        Raises:
            ParameterError: one can't be used.
        """
        self.market = market
        self.state: dict[str, Any] = {}
        values = parameters.read(type(self), given)
        for name, value in values.items():
            setattr(self, name, value)
        self.indicators = parameters.fill_in(self.indicators, values)
        self.markets = parameters.fill_in(self.markets, values)

    def on_ticker(self, ticker: Ticker) -> Actions:  # noqa: ARG002 - does nothing
        """A new ticker of one of its markets."""
        return None

    def on_order_book(self, book: OrderBook) -> Actions:  # noqa: ARG002 - does nothing
        """A new book of one of its markets."""
        return None

    def on_trade(self, trade: Trade) -> Actions:  # noqa: ARG002 - does nothing
        """A trade on one of its markets, anybody's."""
        return None

    def on_indicator(self, value: IndicatorValue) -> Actions:  # noqa: ARG002 - does nothing
        """A new value of one of `indicators`."""
        return None

    def on_timer(self, now: datetime) -> Actions:  # noqa: ARG002 - does nothing
        """Every `timer_seconds`, at multiples of it; *now* is in UTC, by Redis's clock."""
        return None

    def on_order(self, order: OrderUpdate) -> Actions:  # noqa: ARG002 - does nothing
        """An order of this strategy was answered, traded, or ended."""
        return None

    def on_refused(self, refused: Refused) -> None:
        """Nothing came of an intent: what was noted of it in `state` is to be taken back."""
