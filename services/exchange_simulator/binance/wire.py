"""How Binance writes prices and quantities: texts with eight decimals."""

from services.exchange_simulator.instruments import SimulatedInstrument, fixed
from services.exchange_simulator.matching import Level

EMPTY: Level = (0, 0)  # how an empty side's best level is written


def price(instrument: SimulatedInstrument, ticks: int) -> str:
    """A price."""
    return fixed(ticks, instrument.price_scale)


def quantity(instrument: SimulatedInstrument, lots: int) -> str:
    """A quantity of the base asset."""
    return fixed(lots, instrument.quantity_scale)


def money(instrument: SimulatedInstrument, ticks_times_lots: int) -> str:
    """An amount of the quote asset."""
    return fixed(ticks_times_lots, instrument.money_scale)


def levels(instrument: SimulatedInstrument, found: list[Level]) -> list[list[str]]:
    """Book levels: `[price, quantity]` each."""
    return [[price(instrument, ticks), quantity(instrument, lots)] for ticks, lots in found]
