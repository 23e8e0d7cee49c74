"""One venue's account: balances, holds, fees and orders, updated from the engines' events.

Its orders go through the same engines as the random traders' orders. The account knows no wire
protocol: the venue's endpoints decide which orders to refuse, and subscribe to the account's
events. All amounts of money are whole numbers of 1e-8 of their asset.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from services.exchange_simulator.account_order import (
    AMOUNT_SCALE,
    AccountFill,
    AccountOrder,
    NewOrder,
    State,
    base_amount,
    quote_amount,
)
from services.exchange_simulator.instruments import SimulatedInstrument
from services.exchange_simulator.market import MarketStep, SimulatedMarket
from services.exchange_simulator.matching import (
    BookOrder,
    Killed,
    Match,
    OrderAccepted,
    OrderRefused,
    Reduced,
    Removed,
    Rested,
    Terms,
)

OWNER = "account"  # the owner of these orders in the engine
RATE_UNIT = 10**AMOUNT_SCALE
DISCOUNTED_PERCENT = 75


class InsufficientBalanceError(Exception):
    """The order needs more than the free balance; its argument is the asset."""


@dataclass(slots=True)
class AccountBalance:
    """The total of an asset, and the part of it that open orders hold; both in 1e-8."""

    total: int
    held: int = 0

    @property
    def free(self) -> int:
        """The amount that a new order may use, in 1e-8."""
        return self.total - self.held


class FeeRates(NamedTuple):
    """Fees as shares of the received amount, in 1e-8: 100_000 = 0.1 %.

    If the account has enough of `discount_asset` free, it pays `DISCOUNTED_PERCENT` of the fee in
    that asset instead.
    """

    maker: int
    taker: int
    discount_asset: str = ""


class AccountEvent(NamedTuple):
    """A change of an order, published after balances and holds are updated.

    `balances` are the assets whose balances the change may have altered.
    """

    kind: Literal["new", "trade", "amended", "canceled", "expired", "refused"]
    time_ms: int
    order: AccountOrder
    fill: AccountFill | None
    balances: tuple[str, ...]


class SimulatedAccount:
    """The account of one venue. *markets* by slash symbol; *funds* in 1e-8 by asset."""

    def __init__(
        self, markets: Mapping[str, SimulatedMarket], fees: FeeRates, funds: Mapping[str, int]
    ) -> None:
        self.markets = markets
        self.fees = fees
        assets = [a for m in markets.values() for a in (m.instrument.base, m.instrument.quote)]
        self.balances = {
            asset: AccountBalance(funds.get(asset, 0)) for asset in dict.fromkeys(assets)
        }
        # All orders, open and closed, by symbol and order id, oldest first.
        self.orders: dict[tuple[str, int], AccountOrder] = {}
        self._by_client_id: dict[str, list[AccountOrder]] = {}
        self._open: dict[tuple[str, int], AccountOrder] = {}
        self._submitting: NewOrder | None = None
        self._listeners: list[Callable[[AccountEvent], None]] = []
        self._order_listeners: list[Callable[[list[AccountOrder]], None]] = []
        self._changed: dict[tuple[str, int], AccountOrder] = {}  # by the current step
        for market in markets.values():
            market.subscribe(partial(self._on_step, market))

    def subscribe(self, listener: Callable[[AccountEvent], None]) -> None:
        """Call *listener* with every later event."""
        self._listeners.append(listener)

    def on_orders_changed(self, listener: Callable[[list[AccountOrder]], None]) -> None:
        """Call *listener* after each step of a market, with the orders that it changed."""
        self._order_listeners.append(listener)

    def place(self, asked: NewOrder) -> AccountOrder:
        """Send an order to its market; returns the order as it stands after matching.

        Raises:
            InsufficientBalanceError: the order needs more than the free balance.
        """
        required_hold = self.required_hold(asked)
        asset = asked.instrument.base if asked.side == "sell" else asked.instrument.quote
        if required_hold > self.balances[asset].free:
            raise InsufficientBalanceError(asset)
        self._submitting = asked
        terms = Terms(
            owner=OWNER,
            side=asked.side,
            quantity=asked.quantity,
            price=asked.price,
            time_in_force="GTC" if asked.kind == "market" else asked.time_in_force,
            post_only=asked.kind == "post_only",
            client_id=asked.client_id,
        )
        order = self.markets[asked.symbol].submit(terms)
        return self.orders[(asked.symbol, order.order_id)]

    def cancel(self, order: AccountOrder, new_client_id: str | None = None) -> None:
        """Take an open order off the book; *new_client_id*, if given, replaces its client id.

        Raises:
            EngineError: the order isn't open.
        """
        if new_client_id is not None:
            self._rename(order, new_client_id)
        self.markets[order.asked.symbol].cancel(order.order_id)

    def amend(self, order: AccountOrder, quantity: int, new_client_id: str) -> None:
        """Reduce an open order to *quantity* lots and replace its client id.

        Raises:
            EngineError: the order isn't open, or has no lots left after the change.
        """
        fewer = order.asked.quantity - quantity
        self._rename(order, new_client_id)
        self.markets[order.asked.symbol].reduce(order.order_id, fewer)

    def _rename(self, order: AccountOrder, client_id: str) -> None:
        self._by_client_id[order.client_id].remove(order)
        order.called_before, order.client_id = order.client_id, client_id
        self._by_client_id.setdefault(client_id, []).append(order)

    def by_client_id(self, client_id: str) -> list[AccountOrder]:
        """All orders with that client id, oldest first."""
        return self._by_client_id.get(client_id, [])

    def open_orders(self) -> Iterator[AccountOrder]:
        """The orders on the books, oldest first."""
        yield from self._open.values()

    def would_trade(self, asked: NewOrder) -> bool:
        """True if the order would trade on arrival."""
        engine = self.markets[asked.symbol].engine
        return (engine.asks if asked.side == "buy" else engine.bids).reaches(asked.price)

    def required_hold(self, asked: NewOrder) -> int:
        """The amount in 1e-8 that an order holds: base asset for a sell, quote asset for a buy."""
        instrument = asked.instrument
        if asked.side == "sell":
            return base_amount(instrument, asked.quantity)
        if asked.price is not None:
            return quote_amount(instrument, asked.price * asked.quantity)
        asks = self.markets[asked.symbol].engine.asks
        return quote_amount(instrument, asks.cost(asked.quantity))

    def restore(self, orders: list[AccountOrder], balances: Mapping[str, AccountBalance]) -> None:
        """Restore saved orders and balances; open orders rest again in their order of arrival.

        Call it once, before the markets open.
        """
        for asset, balance in balances.items():
            self.balances[asset] = balance
        for order in orders:
            self._remember(order)
            if order.state == "open" and order.asked.symbol in self.markets:
                asked = order.asked
                terms = Terms(OWNER, asked.side, asked.quantity, asked.price)
                engine = self.markets[asked.symbol].engine
                engine.restore(BookOrder(order.order_id, terms, order.remaining))

    def _remember(self, order: AccountOrder) -> None:
        key = (order.asked.symbol, order.order_id)
        self.orders[key] = order
        self._by_client_id.setdefault(order.client_id, []).append(order)
        if order.state == "open":
            self._open[key] = order

    def _on_step(self, market: SimulatedMarket, step: MarketStep) -> None:
        for event in step.events:
            if isinstance(event, Match):
                if event.maker.terms.owner == OWNER:
                    self._fill(market, step, event, event.maker, maker=True)
                if event.taker.terms.owner == OWNER:
                    self._fill(market, step, event, event.taker, maker=False)
            elif event.order.terms.owner == OWNER:
                self._update_own(market, step, event)
        if self._changed:
            changed = list(self._changed.values())
            self._changed.clear()
            for listener in self._order_listeners:
                listener(changed)

    def _update_own(
        self,
        market: SimulatedMarket,
        step: MarketStep,
        event: OrderAccepted | OrderRefused | Rested | Removed | Reduced | Killed,
    ) -> None:
        if isinstance(event, OrderAccepted | OrderRefused):
            self._enter(market, step, event.order)
        if isinstance(event, OrderRefused):
            self._close(market, step, event.order, "refused")
        elif isinstance(event, Reduced):
            self._reduce(market, step, event)
        elif isinstance(event, Removed):
            self._close(market, step, event.order, "canceled")
        elif isinstance(event, Killed):
            self._close(market, step, event.order, "expired")

    def _enter(self, market: SimulatedMarket, step: MarketStep, engine_order: BookOrder) -> None:
        asked, self._submitting = self._submitting, None
        if asked is None:
            raise RuntimeError(f"order {engine_order.order_id}: this account did not submit it")
        order = AccountOrder(
            order_id=engine_order.order_id,
            asked=asked,
            client_id=asked.client_id,
            created_ms=step.time_ms,
            updated_ms=step.time_ms,
        )
        self._remember(order)
        # Matching is already done, so the hold of a market order is its cost.
        self._set_hold(order, hold_after_match(market, step, asked))
        self._publish(AccountEvent("new", step.time_ms, order, None, (order.hold_asset,)))

    def _fill(
        self,
        market: SimulatedMarket,
        step: MarketStep,
        trade: Match,
        engine_order: BookOrder,
        *,
        maker: bool,
    ) -> None:
        instrument = market.instrument
        order = self.orders[(instrument.symbol, engine_order.order_id)]
        base = base_amount(instrument, trade.quantity)
        quote = quote_amount(instrument, trade.price * trade.quantity)
        buys = order.asked.side == "buy"
        received, paid = (base, quote) if buys else (quote, base)
        asset, paid_asset = instrument.base, instrument.quote
        if not buys:
            asset, paid_asset = paid_asset, asset
        fee = received * (self.fees.maker if maker else self.fees.taker) // RATE_UNIT
        worth = fee * trade.price // 10**instrument.price_scale if buys else fee
        fee, fee_asset = self._discounted(instrument, worth) or (fee, asset)
        at = (trade.trade_id, step.time_ms, trade.price, trade.quantity)
        fill = AccountFill(*at, fee, fee_asset, maker)
        order.fills.append(fill)
        order.filled += trade.quantity
        order.spent += trade.price * trade.quantity
        order.updated_ms = step.time_ms
        if buys and order.asked.price is not None:
            self._set_hold(order, quote_amount(instrument, order.asked.price * order.remaining))
        else:
            self._set_hold(order, order.held - paid)
        self.balances[paid_asset].total -= paid
        self.balances[asset].total += received
        self.balances[fee_asset].total -= fee
        if not order.remaining:
            self._end(order, "filled")
        assets = dict.fromkeys((instrument.base, instrument.quote, fee_asset))
        self._publish(AccountEvent("trade", step.time_ms, order, fill, tuple(assets)))

    def _discounted(self, instrument: SimulatedInstrument, worth: int) -> tuple[int, str] | None:
        """The fee *worth* (quote, 1e-8) in `discount_asset`; None if its balance is too low."""
        asset = self.fees.discount_asset
        market = self.markets.get(f"{asset}/{instrument.quote}")
        if market is None:
            return None
        price = market.engine.asks.best() or market.instrument.start_price
        unit = 10**market.instrument.price_scale
        fee = worth * DISCOUNTED_PERCENT * unit // (100 * price)
        return (fee, asset) if fee <= self.balances[asset].free else None

    def _reduce(self, market: SimulatedMarket, step: MarketStep, event: Reduced) -> None:
        instrument = market.instrument
        order = self.orders[(instrument.symbol, event.order.order_id)]
        order.asked = order.asked._replace(quantity=order.asked.quantity - event.quantity)
        order.updated_ms = step.time_ms
        if order.asked.side == "sell":
            self._set_hold(order, base_amount(instrument, order.remaining))
        else:
            self._set_hold(
                order, quote_amount(instrument, (order.asked.price or 0) * order.remaining)
            )
        self._publish(AccountEvent("amended", step.time_ms, order, None, (order.hold_asset,)))

    def _close(
        self,
        market: SimulatedMarket,
        step: MarketStep,
        engine_order: BookOrder,
        state: Literal["canceled", "expired", "refused"],
    ) -> None:
        order = self.orders[(market.instrument.symbol, engine_order.order_id)]
        order.updated_ms = step.time_ms
        self._end(order, state)
        self._publish(AccountEvent(state, step.time_ms, order, None, (order.hold_asset,)))

    def _end(self, order: AccountOrder, state: State) -> None:
        order.state = state
        self._set_hold(order, 0)
        self._open.pop((order.asked.symbol, order.order_id), None)

    def _set_hold(self, order: AccountOrder, amount: int) -> None:
        self.balances[order.hold_asset].held += amount - order.held
        order.held = amount

    def _publish(self, event: AccountEvent) -> None:
        self._changed[(event.order.asked.symbol, event.order.order_id)] = event.order
        for listener in self._listeners:
            listener(event)


def hold_after_match(market: SimulatedMarket, step: MarketStep, asked: NewOrder) -> int:
    """The amount in 1e-8 that an order holds directly after *step* matched it."""
    instrument = market.instrument
    if asked.side == "sell":
        return base_amount(instrument, asked.quantity)
    if asked.price is not None:
        return quote_amount(instrument, asked.price * asked.quantity)
    traded = sum(
        event.price * event.quantity
        for event in step.events
        if isinstance(event, Match) and event.taker.terms.owner == OWNER
    )
    return quote_amount(instrument, traded)
