"""The Luno connector: what it is made of."""

from services._connector_kit import engine
from services.luno_connector.client import open_luno
from services.luno_connector.settings import LunoSettings


async def serve(settings: LunoSettings) -> None:
    """Run until cancelled."""
    await engine.serve(open_luno(settings), settings, settings.luno_symbols, "LUNO_SYMBOLS")
