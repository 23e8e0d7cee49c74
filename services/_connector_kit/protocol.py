"""What an exchange must be able to do for us: the one thing a new connector implements."""

from collections.abc import Sequence
from typing import Literal, Protocol

from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.desk import MarketDesk

# Which money: a Redis belongs to one world only.
World = Literal["live", "testnet", "simulator"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "exchange_simulator"})


class Exchange(Protocol):
    """One venue in our words. Raises only what `errors` lists."""

    name: str
    world: World

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """The instruments of *symbols*; where one isn't listed, all that are."""

    async def stream_market_data(self, desks: Sequence[MarketDesk]) -> None:
        """Keep the desks supplied until cancelled."""
