"""The Binance connector: what it is made of."""

from services._connector_kit import engine
from services.binance_connector.client import open_binance
from services.binance_connector.settings import BinanceSettings


async def serve(settings: BinanceSettings) -> None:
    """Run until cancelled."""
    await engine.serve(
        open_binance(settings), settings, settings.binance_symbols, "BINANCE_SYMBOLS"
    )
