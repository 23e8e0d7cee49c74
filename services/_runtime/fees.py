"""The fee rate to assume if the exchange does not report one. Pure."""

from decimal import Decimal

from services._runtime.exchanges import MANIFESTS

_FULL_FEE = {name: each.highest_fee for name, each in MANIFESTS.items()}


def full_fee(exchange: str) -> Decimal:
    """The highest known fee rate of *exchange*, as a share of the fill (0.001 is 0.1 %)."""
    return _FULL_FEE.get(exchange, max(_FULL_FEE.values()))
