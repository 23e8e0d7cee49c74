"""The simulated instruments: each symbol's scales, limits and starting price."""

from dataclasses import dataclass
from typing import Literal

Venue = Literal["binance", "luno"]


@dataclass(frozen=True, slots=True)
class SimulatedInstrument:
    """One symbol of one venue. Prices are whole numbers of ticks, quantities of lots.

    A tick is `10**-price_scale` of the quote asset, a lot `10**-quantity_scale` of the base
    asset; ticks times lots is exact money with `price_scale + quantity_scale` decimals.
    """

    venue: Venue
    base: str
    quote: str
    price_scale: int
    quantity_scale: int
    start_price: int  # ticks
    typical_quantity: int  # lots: about the median size of an order
    min_quantity: int  # lots
    max_quantity: int  # lots
    min_price: int  # ticks
    max_price: int  # ticks
    max_market_quantity: int  # lots

    @property
    def symbol(self) -> str:
        """The slash form, "BTC/USDT"."""
        return f"{self.base}/{self.quote}"

    @property
    def pair(self) -> str:
        """The venue's name of the symbol, "BTCUSDT"."""
        return self.base + self.quote

    @property
    def money_scale(self) -> int:
        """The number of decimals of ticks times lots."""
        return self.price_scale + self.quantity_scale


def fixed(number: int, scale: int, decimals: int = 8) -> str:
    """*number* of `10**-scale`, as text with exactly *decimals* (>= scale) decimals.

    >>> fixed(2765, 2)
    '27.65000000'
    """
    if number < 0:
        return "-" + fixed(-number, scale, decimals)
    digits = str(number).zfill(scale + 1)
    whole = digits[: len(digits) - scale]
    return f"{whole}.{digits[len(digits) - scale :]}{'0' * (decimals - scale)}"


def trimmed(number: int, scale: int) -> str:
    """*number* (>= 0) of `10**-scale` as text without trailing zeros, but at least two decimals.

    >>> trimmed(300000, 6), trimmed(3925038, 6)
    ('0.30', '3.925038')
    """
    digits = str(number).zfill(scale + 1)
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _binance(
    base: str, scales: tuple[int, int], start: str, typical: str, top: str
) -> SimulatedInstrument:
    price_scale, quantity_scale = scales
    return SimulatedInstrument(
        venue="binance",
        base=base,
        quote="USDT",
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        start_price=whole(start, price_scale),
        typical_quantity=whole(typical, quantity_scale),
        min_quantity=1,
        max_quantity=whole(top, quantity_scale),
        min_price=1,
        max_price=whole("1000000" if price_scale <= 2 else "10000", price_scale),
        max_market_quantity=whole(top, quantity_scale) // 75,
    )


def _luno(
    base: str, scales: tuple[int, int], start: str, typical: str, volumes: tuple[str, str]
) -> SimulatedInstrument:
    price_scale, quantity_scale = scales
    start_price = whole(start, price_scale)
    return SimulatedInstrument(
        venue="luno",
        base=base,
        quote="ZAR",
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        start_price=start_price,
        typical_quantity=whole(typical, quantity_scale),
        min_quantity=whole(volumes[0], quantity_scale),
        max_quantity=whole(volumes[1], quantity_scale),
        min_price=max(start_price // 1000, 1),
        max_price=start_price * 10,
        max_market_quantity=whole(volumes[1], quantity_scale),
    )


def whole(text: str, scale: int) -> int:
    """A decimal text as a whole number of `10**-scale`.

    Raises:
        ValueError: the text isn't a plain decimal, or has more decimals than *scale*.
    """
    integer, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if not (integer.isdecimal() and (integer + fraction).isascii()) or (
        fraction and not fraction.isdecimal()
    ):
        raise ValueError(f"{text!r} is not a decimal number; expected a text like '0.25'")
    if len(fraction) > scale:
        raise ValueError(f"{text!r} has {len(fraction)} decimals; expected at most {scale}")
    return int(integer + fraction.ljust(scale, "0"))


# Scales as the venues list them; pairs are unique across both venues.
INSTRUMENTS: tuple[SimulatedInstrument, ...] = (
    _binance("BTC", (2, 5), "64250.00", "0.02", "9000"),
    _binance("ETH", (2, 4), "3180.00", "0.3", "9000"),
    _binance("SOL", (2, 3), "148.50", "5", "90000"),
    _binance("XRP", (4, 1), "0.6125", "900", "9000000"),
    _binance("BNB", (2, 3), "612.50", "1", "90000"),
    _luno("XBT", (0, 6), "1407000", "0.01", ("0.0001", "100")),
    _luno("ETH", (0, 6), "69600", "0.15", ("0.0005", "1000")),
    _luno("SOL", (2, 4), "3250.00", "2", ("0.01", "10000")),
    _luno("XRP", (4, 0), "13.4000", "400", ("1", "1000000")),
)
