"""The checks of an order before it is sent: live-trading switch, halt, and limits."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

from common_models import PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.instruments import Instrument
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.rules import rounded, text
from services._connector_kit.orders.execution.validation import OrderRules, validate
from services._connector_kit.orders.ports import LiveBook, Rejection, RoundedOrder
from services._connector_kit.orders.settings import LIVE, TradingSettings
from services._connector_kit.world import World

# As a share: how far the venue's average price may lie above the middle of the book.
AVERAGE_DIFFERS_BY = Decimal("0.05")


class PreTradeRisk:
    """Rejects orders that must not be sent.

    `book` returns a symbol's live book, None while it is out of sync. `reserve` reads the halt
    switch and counts an order, at its limit or the worst price that it would pay, against the
    limits of pace, open orders and positions; it returns the rejection, and raises TransientError
    if the order can't be counted. `fault` returns the rejection of all orders, `account_fault` the
    one while the account is not reconciled; None if orders may be sent.
    """

    def __init__(
        self,
        world: World,
        settings: TradingSettings,
        rules: OrderRules,
        instruments: Mapping[str, Instrument],
        book: Callable[[str], LiveBook | None],
        reserve: Callable[[Record, Decimal], Awaitable[Rejection | None]],
        fault: Callable[[], Rejection | None],
        account_fault: Callable[[], Rejection | None],
    ) -> None:
        self._world = world
        self._settings = settings
        self._rules = rules
        self._instruments = instruments
        self._book = book
        self._reserve = reserve
        self._fault = fault
        self._account_fault = account_fault

    def wait_reason(self, symbol: str) -> Rejection | None:
        """Why an order of *symbol* should wait for a condition that is likely to pass soon.

        None if nothing is missing, and if the order will be rejected anyway.
        """
        instrument = self._instruments.get(symbol)
        if instrument is None or not instrument.trading or self._fault() is not None:
            return None
        fault = self._account_fault()
        if fault is not None:
            return None if fault.reason_code == "key_refused" else fault
        return None if self._book(symbol) is not None else _out_of_sync(symbol)

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """The rounded order for *command*, or the rejection by a rule of the venue."""
        return validate(command, self._instruments, self._rules)

    async def check(self, record: Record) -> Rejection | None:
        """Why this order must not be sent now; None if it may: then it is counted as sent."""
        if self._world == "live" and self._settings.live_trading != LIVE:
            return Rejection("trading_disabled", f"real-money orders need LIVE_TRADING={LIVE}")
        if (fault := self._fault() or self._account_fault()) is not None:
            return fault
        command = record.order
        instrument = self._instruments[command.symbol]
        if (rejection := _market_closed(instrument, command)) is not None:
            return rejection
        book = self._book(command.symbol)
        if book is None:
            return _out_of_sync(command.symbol)
        price = _price(record, book)
        if price is None:
            return Rejection("no_liquidity", "the book hasn't got that much on the other side")
        # The switch is read last before the POST.
        return self._limits(record, instrument, book, price) or await self._count(record, price)

    async def _count(self, record: Record, price: Decimal) -> Rejection | None:
        try:
            return await self._reserve(record, price)
        except TransientError as e:
            return Rejection("halt_unreadable", f"the halt switch can't be read: {e}")

    def _limits(
        self, record: Record, instrument: Instrument, book: LiveBook, price: Decimal
    ) -> Rejection | None:
        command, quantity = record.order, Decimal(record.sent_quantity or "0")
        if record.sent_price is not None:
            rejection = _percent_price(command, instrument, book, price)
        else:
            rejection = _below_min_notional(instrument, book, quantity)
        return (
            self._quantity(instrument, quantity)
            or rejection
            or self._notional(instrument, quantity * price)
            or self._collar(command, book, price)
            or self._position(instrument)
        )

    def _quantity(self, instrument: Instrument, quantity: Decimal) -> Rejection | None:
        most = self._settings.risk_max_quantity.get(instrument.base)
        if most is None:
            return _no_limit("max_quantity", instrument.base)
        if quantity > most:
            return Rejection(
                "max_quantity",
                f"quantity is {text(quantity)} {instrument.base}; "
                f"RISK_MAX_QUANTITY allows {text(most)}",
            )
        return None

    def _notional(self, instrument: Instrument, notional: Decimal) -> Rejection | None:
        most = self._settings.risk_max_notional.get(instrument.quote)
        if most is None:
            return _no_limit("max_notional", instrument.quote)
        if notional > most:
            return Rejection(
                "max_notional",
                f"quantity x price is {text(notional)} {instrument.quote}; "
                f"RISK_MAX_NOTIONAL allows {text(most)}",
            )
        return None

    def _position(self, instrument: Instrument) -> Rejection | None:
        """Reject the order if its quote asset has no limit of position or daily loss."""
        if instrument.quote not in self._settings.risk_max_position:
            return _no_limit("max_position", instrument.quote)
        if instrument.quote not in self._settings.risk_max_daily_loss:
            return _no_limit("max_daily_loss", instrument.quote)
        return None

    def _collar(
        self, command: PlaceOrderCommand, book: LiveBook, price: Decimal
    ) -> Rejection | None:
        collar = self._settings.risk_price_collar
        other_side = book.asks if command.side == "buy" else book.bids
        if other_side.best is None:
            return _without_other_side(command, book, price, collar)
        if command.side == "buy":
            most = Decimal(str(other_side.best)) * (1 + collar)
            if price > most:
                return _off_market("buy", price, f"at most {text(most)}")
        else:
            least = Decimal(str(other_side.best)) * (1 - collar)
            if price < least:
                return _off_market("sell", price, f"at least {text(least)}")
        return None


def _market_closed(instrument: Instrument, command: PlaceOrderCommand) -> Rejection | None:
    """Why the exchange doesn't accept this order in the market's state; None if it does."""
    if not instrument.trading:
        return Rejection("symbol_not_trading", f"the exchange has halted {command.symbol}")
    if instrument.post_only and not command.post_only:
        said = f"the exchange accepts only post_only orders for {command.symbol} now"
        return Rejection("post_only_mode", said)
    return None


def _out_of_sync(symbol: str) -> Rejection:
    return Rejection("book_out_of_sync", f"the book of {symbol} is not in sync")


def _no_limit(reason_code: str, asset: str) -> Rejection:
    return Rejection(reason_code, f"RISK_{reason_code.upper()} has no limit for {asset}; name one")


def _price(record: Record, book: LiveBook) -> Decimal | None:
    """The order's limit, or the worst price that it would pay; None if the book is too thin."""
    if record.sent_price is not None:
        return Decimal(record.sent_price)
    return _worst_price(book, record.order, Decimal(record.sent_quantity or "0"))


def _worst_price(book: LiveBook, command: PlaceOrderCommand, quantity: Decimal) -> Decimal | None:
    """The price of the last level that an order of *quantity* would reach; None if too thin."""
    other_side = book.asks if command.side == "buy" else book.bids
    for depth in (20, len(other_side)):  # the first levels are nearly always enough
        left = quantity
        for price, available in other_side.top(depth):
            left -= Decimal(str(available))
            if left <= 0:
                return Decimal(str(price))
    return None


def _below_min_notional(
    instrument: Instrument, book: LiveBook, quantity: Decimal
) -> Rejection | None:
    """The rejection of a market order that is surely below the venue's minimum notional.

    The venue multiplies by its average price of some minutes, or by the last price
    (developers.binance.com/docs/binance-spot-api-docs/filters: NOTIONAL, `avgPriceMins`); this
    check uses the middle of the book. Near the bound the order is sent, and the venue decides.
    """
    least = instrument.rules.min_market_notional
    notional = quantity * (middle(book) or Decimal(0))
    if notional * (1 + AVERAGE_DIFFERS_BY) >= least:
        return None
    message = f"quantity x price is about {text(notional)}; expected at least {text(least)}"
    return Rejection("notional_out_of_bounds", message)


def middle(book: LiveBook) -> Decimal | None:
    """The middle of the best two prices; the only best price if one side is empty, or None."""
    bests = [Decimal(str(best)) for best in (book.bids.best, book.asks.best) if best is not None]
    return sum(bests, Decimal(0)) / len(bests) if bests else None


def _percent_price(
    command: PlaceOrderCommand, instrument: Instrument, book: LiveBook, price: Decimal
) -> Rejection | None:
    """The rejection of a limit price outside the venue's bounds, which are shares of the price.

    The venue uses its average price of some minutes, this check the middle of the book. So near a
    bound the venue may decide otherwise.
    """
    rules = instrument.rules
    allowed = rules.bid_multiplier if command.side == "buy" else rules.ask_multiplier
    between = middle(book)
    if between is None:
        return None
    least = rounded(between * allowed.least, rules.price.step, up=True)
    most = rounded(between * allowed.most, rules.price.step, up=False)
    if price < least:
        want = f"about {text(least)} or more"
    elif allowed.most and price > most:
        want = f"about {text(most)} or less"
    else:
        return None
    return Rejection(
        "percent_price", f"price {text(price)} is too far off the market; expected {want}"
    )


def _without_other_side(
    command: PlaceOrderCommand, book: LiveBook, price: Decimal, collar: Decimal
) -> Rejection | None:
    """The rejection of an order for a book whose other side is empty; None if it may rest.

    Without an opposite price, any later order would trade with it at its own price. So its price
    must be at or behind the best of its own side; with `post_only` it may be ahead, within the
    collar.
    """
    own_side, sign = (book.bids, 1) if command.side == "buy" else (book.asks, -1)
    if own_side.best is not None:
        ahead = collar if command.post_only else Decimal(0)
        bound = Decimal(str(own_side.best)) * (1 + sign * ahead)
        if price * sign <= bound * sign:
            return None
    other = "sell" if command.side == "buy" else "buy"
    return Rejection(
        "price_collar",
        f"{command.symbol} has no {other} orders to value a {command.side} at {text(price)} by; "
        "expected a price at or behind the best of its own side",
    )


def _off_market(side: str, price: Decimal, allowed: str) -> Rejection:
    return Rejection(
        "price_collar",
        f"a {side} at {text(price)} is too far off the market; RISK_PRICE_COLLAR allows {allowed}",
    )
