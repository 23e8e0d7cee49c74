"""The interface of strategies: a class whose `on_*` methods return actions. For plugins.

A strategy has access to its market only: not to Redis, an exchange or a clock. It returns intents
and cancels; the decision maker decides whether they become commands.
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
    """Requested data is missing or can't be relied on; the message says why."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An order that a strategy proposes, and why.

    `quantity` is in the base asset; None means the quantity in STRATEGIES. `price` is in the quote
    asset. Without a price it is a market order, else a limit order that rests until it is filled or
    a `Cancel` ends it.

    Raises:
        TypeError | ValueError: a field is invalid; the message names it.
    """

    side: Side
    reason: str
    quantity: Decimal | None = None
    price: Decimal | None = None

    def __post_init__(self) -> None:
        if self.side not in ("buy", "sell"):
            raise ValueError(f"side={self.side!r}: expected 'buy' or 'sell'")
        if not self.reason:
            raise ValueError("reason='': expected a sentence that says why")
        for name in ("quantity", "price"):
            value: object = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Decimal):
                raise TypeError(f"{name}={value!r}: expected a Decimal, e.g. Decimal('0.001')")
            if not value.is_finite() or value <= 0:
                raise ValueError(f"{name}={value}: expected a number greater than 0")

    @property
    def type(self) -> OrderType:
        """The order type, as in commands."""
        return "market" if self.price is None else "limit"


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request to cancel the strategy's open orders, and why.

    It cancels the order with this `id`; None means all. Without an open order it has no effect. The
    order may trade until `on_order` reports that it is cancelled.

    Raises:
        ValueError: the reason is empty.
    """

    reason: str
    id: str | None = None

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("reason='': expected a sentence that says why")


Action = Intent | Cancel
# The return value of a strategy's method. Actions are handled one after the other.
Actions = Action | Sequence[Action] | None


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """An order of this strategy that may still trade.

    `status` is `deciding` (not sent yet), `sent` (not answered yet), or the exchange's. A market
    order has no `price`. `cancelling` is true after a cancel was requested.
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
    """A new status of an order of this strategy; its `id` is that in `Market.orders`.

    `status` is the exchange's as in `order_status`, `rejected` if the order was not placed, or
    `lost` if no connector knows the order and it can't appear later.
    """

    side: Side
    quantity: Decimal
    status: str
    filled_quantity: Decimal
    average_price: Decimal | None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """An intent that did not lead to a trade, and why. A market order has no `price`.

    `reason_code` is that of the bot's refusal, or of the answer to the order; if the order ended
    without a fill it is the order's status.
    """

    side: Side
    quantity: Decimal
    reason_code: str
    message: str
    price: Decimal | None = None


class Quotes(Protocol):
    """The data of one market.

    Each method raises StaleDataError if its data can't be relied on. A strategy need not catch it:
    the bot logs it and calls the strategy again with the next message.
    """

    exchange: str
    symbol: str

    def ticker(self) -> Ticker:
        """The latest ticker."""

    def order_book(self) -> OrderBook:
        """The latest order book."""

    def trades(self) -> tuple[Trade, ...]:
        """The latest trades, oldest first; at most a thousand."""

    def balance(self, asset: str) -> AccountBalanceEvent:
        """The account's balance of an asset, on this market's exchange."""


class Market(Quotes, Protocol):
    """The market that a strategy trades on."""

    quantity: Decimal

    @property
    def position(self) -> Decimal:
        """The position in the base asset: bought less sold, less fees taken in the base asset.

        0 if it is too small for an order on the exchange: that is dust.
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
    """The base class of all strategies; its methods do nothing.

    `indicators` are the names of the indicator values that it uses, as in their streams:
    `("rsi_14",)`. Parameters are fields of the class, `fast: int = Field(20, ge=1)`; each instance
    has its own values: `self.fast`. A name may contain one: `indicators = ("sma_{fast}",)`.
    `markets` are further markets that it reads: `("luno:XBT/ZAR",)`. Their tickers, books and
    trades arrive at the same methods; it trades on its own market only.
    `timer_seconds`, 1 to 86400, is the interval of `on_timer`. `max_orders`, 1 to 20, is how many
    of its orders may be open at once: a method may return several actions, and intents beyond
    `max_orders` are refused.
    `state` survives a restart; it holds JSON values. It is saved together with the positions in
    the streams, so no message is handled twice or skipped. An intent may be refused or rejected:
    rely on `position` and `on_order`, not on what was returned.
    """

    indicators: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    timer_seconds: float | None = None
    max_orders: int = 1

    def __init__(self, market: Market, **given: object) -> None:
        """*given* are parameters; the others have the defaults of the class.

        Raises:
            ParameterError: one is invalid.
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
        """A public trade on one of its markets."""
        return None

    def on_indicator(self, value: IndicatorValue) -> Actions:  # noqa: ARG002 - does nothing
        """A new value of one of `indicators`."""
        return None

    def on_timer(self, now: datetime) -> Actions:  # noqa: ARG002 - does nothing
        """Called at multiples of `timer_seconds`; *now* is in UTC, by Redis's clock."""
        return None

    def on_order(self, order: OrderUpdate) -> Actions:  # noqa: ARG002 - does nothing
        """An order of this strategy was answered, filled in part or whole, or closed."""
        return None

    def on_refused(self, refused: Refused) -> None:
        """An intent did not lead to a trade: undo what `state` says of it."""
