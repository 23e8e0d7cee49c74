"""What the API key may do: one that could move money away is refused."""

import asyncio
from collections.abc import Mapping

import structlog

from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import FatalError, FeedStoppedError
from services._connector_kit.world import World
from services.binance_connector.rest import (
    FROM_KNOWN_ADDRESSES_ONLY,
    MOVES_MONEY,
    READS,
    TRADES,
    SignedRest,
)

log = structlog.get_logger()

CLOCK_WITHIN = 60.0


class KeyCheck:
    """Asks Binance once what the key may do; no order leaves before it has answered."""

    def __init__(self, rest: SignedRest, clock: VenueClock, world: World) -> None:
        self._rest = rest
        self._clock = clock
        self._world = world
        self._known = asyncio.Event()

    async def known(self, within: float) -> bool:
        """Wait until it has answered; False where that takes longer than *within* seconds."""
        try:
            async with asyncio.timeout(within):
                await self._known.wait()
        except TimeoutError:
            return self._known.is_set()
        return True

    async def check(self) -> None:
        """Find out, and judge.

        Raises:
            FatalError: the key may withdraw or transfer.
            FeedStoppedError: it may not read and trade, or is refused; ask again.
            TransientError, RejectedError: no usable answer; ask again.
        """
        if self._world == "testnet":
            log.warning("key_not_checked", reason="Binance's testnet can't say what a key may do")
        else:
            await self._clock.known(CLOCK_WITHIN)
            try:
                self._judge(await self._rest.permissions())
            except FeedStoppedError:
                self._known.set()  # such a key moves nothing; nor will it place orders
                raise
        self._known.set()

    def _judge(self, permissions: Mapping[str, bool]) -> None:
        too_many = [name for name in MOVES_MONEY if permissions[name]]
        if too_many:
            raise FatalError(
                f"BINANCE_API_KEY: the key may move money away ({', '.join(too_many)}); "
                "expected one that may read and trade, and nothing else"
            )
        if not permissions[READS] or not permissions[TRADES]:
            raise FeedStoppedError(
                "BINANCE_API_KEY: the key may not read and trade; at Binance, "
                'tick "Enable Reading" and "Enable Spot & Margin Trading"'
            )
        if self._world == "live" and not permissions[FROM_KNOWN_ADDRESSES_ONLY]:
            log.warning("key_from_any_address", want="restrict it to this machine's address")
