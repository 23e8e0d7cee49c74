"""The interface that each new exchange implements."""

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
    """One exchange. Its methods raise only the errors of the kit's `errors` module.

    `world` is live, testnet or simulator. `stats` counts the venue's requests and messages.
    """

    name: str
    world: World
    stats: VenueStats

    async def find_world(self) -> None:
        """Determine `world`; until then it counts as live.

        Raises:
            TransientError: the venue can't be asked now.
        """

    async def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """Return the instruments of *symbols*; all listed instruments if one is not listed."""

    async def stream_market_data(self, subscriptions: Sequence[SymbolSubscription]) -> None:
        """Supply each subscription with trades, book and ticker until cancelled."""

    def trading(self, listing: Listing, book: Callable[[str], LiveBook | None]) -> Trading | None:
        """Return what trading needs; None without credentials.

        The instruments in *listing* change while the connector runs, so look rules up when they
        are used. *book* returns a symbol's live book, None while it is out of sync.
        """
