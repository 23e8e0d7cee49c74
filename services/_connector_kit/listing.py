"""What an exchange lists, kept as it is now: symbols are halted, resumed, and get other rules."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace

import structlog

from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.instruments import Instrument, MarketStatus
from services._runtime.supervise import FailureLog

log = structlog.get_logger()

# In between the exchange itself refuses what it no longer takes.
EVERY = 60.0
# What a symbol may look like at all: nothing else is asked for.
_SYMBOL = re.compile(r"[\w.-]{1,20}/[\w.-]{1,20}")

# The instruments of some symbols; where one isn't listed, all that are.
Ask = Callable[[Sequence[str]], Awaitable[Sequence[Instrument]]]
# The symbols of orders that aren't over; TransientError where that can't be read now.
InUse = Callable[[], Awaitable[Collection[str]]]


def _nothing() -> None:
    """No callback is set."""


class UnlistedError(RejectedError):
    """The exchange doesn't list a symbol, so it can't be asked about its orders."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"the exchange doesn't list {symbol[:50]!r}", code="unlisted")


class Listing:
    """The instruments that one connector works with, by symbol.

    `configured` are those of the settings: they take new orders and have market data. `served` are
    these and those with an order that isn't over, whose symbol was taken out of the settings: its
    status, its fills and its cancel go on. Both are kept up to date in place; `on_change` is called
    after that.
    """

    def __init__(self, ask: Ask, configured: Iterable[Instrument]) -> None:
        self.configured = {instrument.symbol: instrument for instrument in configured}
        self.served = dict(self.configured)
        self.on_change: Callable[[], None] = _nothing
        self._ask = ask
        # As the exchange lists them, and what their own streams say since.
        self._listed = dict(self.configured)
        self._said: dict[str, MarketStatus] = {}
        # Of other symbols, what was answered since the last refresh; `_has_all`: all there are.
        self._others: dict[str, Instrument] = {}
        self._has_all = False

    def named(self, venue_symbol: str) -> Instrument | None:
        """The served instrument of that name at the exchange; None if it isn't served."""
        return next((i for i in self.served.values() if i.venue_symbol == venue_symbol), None)

    async def look_up(self, symbol: str) -> Instrument | None:
        """The instrument of any symbol; None where the exchange doesn't list it.

        Raises what the kit's `errors` lists, where the exchange must be asked.
        """
        if (known := self.served.get(symbol)) is not None:
            return known
        if symbol not in self._others and not self._has_all and _SYMBOL.fullmatch(symbol):
            found = {instrument.symbol: instrument for instrument in await self._ask([symbol])}
            self._others |= found
            self._has_all = symbol not in found
        return self._others.get(symbol)

    async def serve(self, symbol: str) -> Instrument:
        """The instrument of a symbol with an order that isn't over, served from now on.

        Raises:
            UnlistedError: the exchange doesn't list it (any more).
        """
        instrument = await self.look_up(symbol)
        if instrument is None:
            raise UnlistedError(symbol)
        self.served.setdefault(symbol, instrument)
        return instrument

    async def serve_all(self, symbols: Iterable[str]) -> None:
        """Serve those of *symbols* that the exchange lists."""
        for symbol in sorted(symbols):
            instrument = await self.look_up(symbol)
            if instrument is None:
                log.error("symbol_not_served", symbol=symbol, error=str(UnlistedError(symbol)))
            else:
                self.served[symbol] = instrument

    async def keep_fresh(self, in_use: InUse, *, every: float = EVERY) -> None:
        """Keep all up to date, and serve no longer what isn't *in_use*; until cancelled.

        Where the exchange doesn't say, the last ones stay. One that it no longer lists isn't
        trading.
        """
        failures = FailureLog("listing_delayed")
        while True:
            await asyncio.sleep(every)
            try:
                self._release(await in_use())
                found = await self._ask(list(self.served))
            except (TransientError, RejectedError, FeedStoppedError) as e:
                failures.seen(e)
                continue
            failures.over()
            self._refresh({instrument.symbol: instrument for instrument in found})

    def _release(self, in_use: Collection[str]) -> None:
        for symbol in self.served.keys() - self.configured.keys() - set(in_use):
            log.info("symbol_released", symbol=symbol)
            del self.served[symbol]

    def _refresh(self, listed: dict[str, Instrument]) -> None:
        self._others, self._has_all = {}, False
        for symbol, known in list(self.served.items()):
            self._listed[symbol] = listed.get(symbol) or replace(known, trading=False)
            self._update(symbol)

    def market_says(self, symbol: str, market: MarketStatus | None) -> None:
        """What the stream of a configured symbol says of its market; None: there is no stream.

        It is newer than the list, which is asked for now and then: where either says that nothing
        trades, nothing does.
        """
        if self._said.get(symbol) != market:
            if market is None:
                del self._said[symbol]
            else:
                self._said[symbol] = market
            self._update(symbol)

    def _update(self, symbol: str) -> None:
        now, said = self._listed[symbol], self._said.get(symbol)
        if said is not None:
            trading = now.trading and said != "halted"
            now = replace(now, trading=trading, post_only=said == "post_only")
        if now != self.served[symbol]:
            log.warning("instrument_changed", symbol=symbol, market=now.market)
            self.served[symbol] = now
            if symbol in self.configured:
                self.configured[symbol] = now
            self.on_change()
