"""What an exchange takes of a fill, where nothing says it. Pure."""

from decimal import Decimal

from services._runtime.exchanges import MANIFESTS

_FULL_FEE = {name: each.highest_fee for name, each in MANIFESTS.items()}


def full_fee(exchange: str) -> Decimal:
    """The largest share of a fill that an exchange takes, as far as is known."""
    return _FULL_FEE.get(exchange, max(_FULL_FEE.values()))
