"""What an exchange takes of a fill, where nothing says it. Pure."""

from decimal import Decimal

# The share of a fill that is taken of a new customer. Luno's differ by country: the highest.
_FULL_FEE = {"binance": Decimal("0.001"), "luno": Decimal("0.01")}


def full_fee(exchange: str) -> Decimal:
    """The largest share of a fill that an exchange takes, as far as is known."""
    return _FULL_FEE.get(exchange, max(_FULL_FEE.values()))
