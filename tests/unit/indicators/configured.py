"""Indicators as INDICATORS would name them."""

from services.indicators.configuration import IndicatorSpec, read
from services.indicators.plugins import Plugins

OURS = Plugins()
MARKETS = {"binance": ("BTC/USDT", "ETH/USDT"), "luno": ("XBT/ZAR",)}


def wanted(*entries: str, plugins: Plugins = OURS) -> list[IndicatorSpec]:
    """These entries, understood."""
    return read(entries, plugins, MARKETS)
