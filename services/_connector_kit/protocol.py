"""What an exchange must be able to do for us: the one thing a new connector implements."""

from collections.abc import Callable, Sequence
from typing import Protocol

from services._connector_kit.instruments import Instrument
from services._connector_kit.listing import Listing
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.orders.ports import LiveBook
from services._connector_kit.orders.trading import Trading
from services._connector_kit.venue_stats import VenueStats
from services._connector_kit.world import World


class Exchange(Protocol):
    """One venue in our words. Raises only what `errors` lists."""

    name: str
    world: World
    traffic: VenueStats

    async def find_world(self) -> None:
        """Find out which `world` this is; until then it counts as live.

        Raises:
            TransientError: it can't be asked now.
        """

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """The instruments of *symbols*; where one isn't listed, all that are."""

    async def stream_market_data(self, desks: Sequence[SymbolSubscription]) -> None:
        """Keep the desks supplied until cancelled."""

    def trading(self, listing: Listing, book: Callable[[str], LiveBook | None]) -> Trading | None:
        """What is needed to trade; None without credentials.

        *listing* is kept up to date: rules are looked up when they are needed. *book* returns a
        symbol's live book, None while it is out of sync.
        """
