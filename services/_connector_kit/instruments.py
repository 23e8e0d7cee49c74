"""What can be traded at an exchange, and under which name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal

from services._runtime.lifecycle import FatalError

ZERO = Decimal(0)

# `post_only`: only orders that rest are taken (Luno's circuit breaker); `halted`: none is.
MarketStatus = Literal["trading", "post_only", "halted"]


@dataclass(frozen=True, slots=True)
class Range:
    """Steps from `least` to `most`; a 0 switches that part of the rule off."""

    step: Decimal = ZERO
    least: Decimal = ZERO
    most: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class TradingRules:
    """What the venue demands of one symbol: prices in the quote asset, quantities in the base.

    `bid_multiplier` and `ask_multiplier` bound a limit price as a share of the market's price.
    """

    price: Range = Range()
    quantity: Range = Range()
    market_quantity: Range = Range()
    min_notional: Decimal = ZERO
    max_notional: Decimal = ZERO
    min_market_notional: Decimal = ZERO
    bid_multiplier: Range = Range()
    ask_multiplier: Range = Range()


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol of an exchange.

    `symbol` is ours ("BTC/USDT"), `venue_symbol` the exchange's own name ("BTCUSDT"); the split
    into `base` and `quote` is the exchange's. `post_only`: of those that are `trading`, it takes
    only orders that rest.
    """

    symbol: str
    venue_symbol: str
    base: str
    quote: str
    trading: bool
    rules: TradingRules = TradingRules()
    post_only: bool = False

    @property
    def market(self) -> MarketStatus:
        """Which orders are taken."""
        if not self.trading:
            return "halted"
        return "post_only" if self.post_only else "trading"


def choose(
    listed: Iterable[Instrument], wanted: Sequence[str], *, setting: str
) -> list[Instrument]:
    """The instruments of the *wanted* symbols, in that order.

    Raises:
        FatalError: a symbol isn't listed; the message names it and the nearest ones that are.
    """
    by_symbol = {instrument.symbol: instrument for instrument in listed}
    faults = []
    for symbol in wanted:
        if symbol not in by_symbol:
            near = get_close_matches(symbol, by_symbol, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "the exchange lists none like it"
            faults.append(f"{setting}: {symbol!r} isn't listed; {hint}")
    if faults:
        raise FatalError("; ".join(faults))
    return [by_symbol[symbol] for symbol in wanted]
