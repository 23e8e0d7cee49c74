"""Indicators as INDICATORS would name them."""

from services.indicators.configuration import IndicatorSpec, read
from services.indicators.plugins import Plugins

BUILT_IN = Plugins()
MARKETS = {"binance": ("BTC/USDT", "ETH/USDT"), "luno": ("XBT/ZAR",)}


def wanted(*entries: str, plugins: Plugins = BUILT_IN) -> list[IndicatorSpec]:
    """These entries, understood."""
    return read(entries, plugins, MARKETS)
