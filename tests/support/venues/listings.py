"""Listings for tests: of an exchange that lists what it is told to."""

from collections.abc import Sequence

from services._connector_kit.instruments import Instrument
from services._connector_kit.listing import Listing


def listing(*configured: Instrument, others: Sequence[Instrument] = ()) -> Listing:
    """The *configured* instruments, of an exchange that lists *others* too."""

    async def ask(symbols: Sequence[str]) -> Sequence[Instrument]:
        listed = [*configured, *others]
        wanted = [instrument for instrument in listed if instrument.symbol in symbols]
        return wanted if len(wanted) == len(symbols) else listed

    return Listing(ask, configured)
