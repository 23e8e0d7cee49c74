"""Prices and quantities in Binance's format: texts with eight decimals."""

from services.exchange_simulator.instruments import SimulatedInstrument, fixed
from services.exchange_simulator.matching import Level

EMPTY: Level = (0, 0)  # the best level of an empty side


def price(instrument: SimulatedInstrument, ticks: int) -> str:
    """A price in ticks as text."""
    return fixed(ticks, instrument.price_scale)


def quantity(instrument: SimulatedInstrument, lots: int) -> str:
    """A quantity in lots as text."""
    return fixed(lots, instrument.quantity_scale)


def money(instrument: SimulatedInstrument, ticks_times_lots: int) -> str:
    """An amount of the quote asset in ticks times lots, as text."""
    return fixed(ticks_times_lots, instrument.money_scale)


def levels(instrument: SimulatedInstrument, found: list[Level]) -> list[list[str]]:
    """Book levels: `[price, quantity]` each."""
    return [[price(instrument, ticks), quantity(instrument, lots)] for ticks, lots in found]
