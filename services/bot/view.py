"""A strategy's view of its markets: it raises instead of returning stale data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from common_models import AccountBalanceEvent, IndicatorValue, OrderBook, Ticker, Trade
from services.bot.connector_watch import ConnectorWatch
from services.bot.data_provider import DataProvider
from services.bot.indicator_feed import IndicatorFeed
from services.bot.instrument_watch import InstrumentWatch
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import Holding
from services.bot.strategy import OwnOrder, StaleDataError
from services.bot.strategy_config import StrategySpec


class Balances(dict[tuple[str, str], AccountBalanceEvent]):
    """The latest balance of each exchange and asset."""

    def handle(self, event: AccountBalanceEvent) -> None:
        """Store a balance as the latest."""
        self[event.exchange, event.asset] = event

    def free(self, exchange: str, asset: str) -> Decimal | None:
        """The free balance; None if none was published."""
        found = self.get((exchange, asset))
        return None if found is None else Decimal(str(found.free))


def dust(holding: Holding, instruments: InstrumentWatch) -> Decimal:
    """The part of a holding that is too small for any order, at the market's price; signed."""
    quantity = abs(holding.quantity)
    lots = instruments.lots(holding.exchange, holding.symbol)
    left = quantity - lots.tradable(quantity, holding.price)
    return left.copy_sign(holding.quantity)


@dataclass(frozen=True, slots=True)
class Sources:
    """The data that decisions are made from. Indicators by stream; `clock` in seconds."""

    provider: DataProvider
    connectors: ConnectorWatch
    indicators: Mapping[str, IndicatorFeed]
    balances: Balances
    instruments: InstrumentWatch
    portfolio: Portfolio
    indicator_max_age: float
    clock: Callable[[], float]


class QuoteView:
    """The port `Quotes`, over the sources."""

    def __init__(self, exchange: str, symbol: str, sources: Sources) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self._sources = sources

    def ticker(self) -> Ticker:
        """The latest ticker; StaleDataError if it can't be relied on."""
        now = self.live()
        found = self._sources.provider.ticker(self.exchange, self.symbol, now)
        if found is None:
            raise StaleDataError(f"no ticker of {self.symbol} yet")
        return found.value

    def order_book(self) -> OrderBook:
        """The latest book; StaleDataError if it can't be relied on."""
        now = self.live()
        found = self._sources.provider.order_book(self.exchange, self.symbol, now)
        if found is None:
            raise StaleDataError(f"no book of {self.symbol} yet")
        return found.value

    def trades(self) -> tuple[Trade, ...]:
        """The latest trades; StaleDataError if they can't be relied on."""
        self.live()
        return self._sources.provider.trades(self.exchange, self.symbol)

    def balance(self, asset: str) -> AccountBalanceEvent:
        """The account's balance; StaleDataError if none was published."""
        found = self._sources.balances.get((self.exchange, asset))
        if found is None:
            raise StaleDataError(f"no balance of {asset} on {self.exchange} yet")
        return found

    def live(self) -> float:
        """The time, in seconds of the sources' clock, if the market can be relied on.

        Raises:
            StaleDataError: it can't be relied on.
        """
        now = self._sources.clock()
        why = self._sources.connectors.why_stale(self.exchange, self.symbol, now)
        if why is not None:
            raise StaleDataError(f"{self.exchange} {self.symbol}: {why}")
        return now


class MarketView(QuoteView):
    """The port `Market`, over the sources."""

    def __init__(self, spec: StrategySpec, sources: Sources) -> None:
        super().__init__(spec.exchange, spec.symbol, sources)
        self.quantity = spec.quantity
        self._key = spec.key
        self._streams = spec.indicator_streams
        self._others = {
            name: QuoteView(*market, sources) for name, market in spec.other_markets.items()
        }

    @property
    def position(self) -> Decimal:
        """The position of this strategy, in the base asset; 0 if it is only dust."""
        holding = self._sources.portfolio.held(self._key)
        if holding is None or dust(holding, self._sources.instruments) == holding.quantity:
            return Decimal(0)
        return holding.quantity

    @property
    def pending(self) -> bool:
        """True while an order of this strategy may still trade."""
        return bool(self._sources.portfolio.pending(self._key))

    @property
    def orders(self) -> tuple[OwnOrder, ...]:
        """The orders of this strategy that may still trade."""
        return tuple(
            OwnOrder(
                order.id,
                order.side,
                order.quantity,
                order.price,
                order.filled,
                order.state,
                cancelling=bool(order.cancel_asked_at),
            )
            for order in self._sources.portfolio.pending(self._key)
        )

    def indicator(self, name: str) -> IndicatorValue:
        """The latest value; StaleDataError if it can't be relied on.

        Raises:
            KeyError: it isn't one of the strategy's `indicators`.
        """
        feed = self._sources.indicators[self._streams[name]]
        return feed.fresh(self._sources.clock(), self._sources.indicator_max_age)

    def other(self, name: str) -> QuoteView:
        """Another market.

        Raises:
            KeyError: it isn't one of the strategy's `markets`.
        """
        return self._others[name]

    def all_live(self) -> None:
        """Check that each of its markets can be relied on.

        Raises:
            StaleDataError: one of them can't be relied on.
        """
        for each in (self, *self._others.values()):
            each.live()
