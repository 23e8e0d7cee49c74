"""Publishes the account's balances: when pushed, after a change, and on request."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from services._connector_kit.errors import (
    RETRY_REFUSED,
    FeedStoppedError,
    RejectedError,
    TransientError,
)
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.published_balances import (
    BalanceUpdate,
    PublishedBalances,
)
from services._connector_kit.orders.account.venue import Balance, BalanceSnapshot
from services._connector_kit.orders.ports import Clock
from services._runtime.supervise import FailureLog, full_jitter

# In seconds. All balances must be published once a minute; the rest is a margin for delays.
PUBLISH_ALL_EVERY = 50.0
# In seconds: the least time between two snapshots.
MIN_INTERVAL = 1.0
# In seconds: wait after a snapshot that was older than the published balances.
STALE_RETRY_DELAY = 0.2


class BalanceVenue(Protocol):
    """The exchange's methods for balances. They raise what the kit's `errors` lists."""

    def milliseconds(self) -> int:
        """The venue's time in milliseconds, as estimated here."""

    async def balances(self) -> BalanceSnapshot:
        """The balances that are not zero."""


class BalancePublisher:
    """One account's balances; `changed` is set after a change with an unknown new value."""

    def __init__(
        self,
        venue: BalanceVenue,
        published: PublishedBalances,
        clock: Clock,
        health: AccountHealth,
        changed: asyncio.Event,
    ) -> None:
        self._venue = venue
        self._published = published
        self._clock = clock
        self._health = health
        self._changed = changed
        self._all_published = float("-inf")

    async def publish_pushed(self, balances: Sequence[Balance], version: int) -> None:
        """Publish balances that the account stream pushed. Raises TransientError."""
        update = BalanceUpdate(balances, version, self._venue.milliseconds())
        if not await self._published.publish(update):
            self._changed.set()

    async def request(self, assets: Sequence[str] | None) -> None:
        """Publish the balances of *assets*; None: all balances that are not zero.

        Raises what the kit's `errors` lists.
        """
        named = list(assets or ())
        while not await self._publish_snapshot(named, all_of=named):
            await self._clock.sleep(STALE_RETRY_DELAY)

    async def _publish_snapshot(self, named: Sequence[str], all_of: Sequence[str] | None) -> bool:
        """Request a snapshot and publish it; False if some of its balances may be too old."""
        asked_at = await self._published.now()
        snapshot = await self._venue.balances()
        received_at = self._venue.milliseconds()
        here = {balance.asset for balance in snapshot.balances}
        gone = sorted((await self._published.assets() | set(named)) - here)
        balances = [*snapshot.balances, *map(Balance.nothing, gone)]
        update = BalanceUpdate(balances, snapshot.version, received_at, asked_at)
        return await self._published.publish(update, all_of=all_of)

    async def keep_publishing(self) -> None:
        """Publish changed balances, and all balances at least once a minute; until cancelled."""
        failures = FailureLog("balances_delayed")
        waits = full_jitter()
        while True:
            due = self._all_published + PUBLISH_ALL_EVERY - self._clock.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due, 0.0)):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._publish_due()
            except (TransientError, RejectedError) as e:
                failures.seen(e)
                self._health.down("balances", str(e))
                self._changed.set()
                retry_after = e.retry_after if isinstance(e, TransientError) else 0.0
                await self._clock.sleep(max(next(waits), retry_after))
            except FeedStoppedError as e:
                self._health.refused("balances", str(e))
                self._changed.set()
                await self._clock.sleep(RETRY_REFUSED)
            else:
                failures.over()
                self._health.up("balances")
                waits = full_jitter()
            await self._clock.sleep(MIN_INTERVAL)

    async def _publish_due(self) -> None:
        """Publish the changed balances; all of them when that is due."""
        now = self._clock.monotonic()
        due = now - self._all_published >= PUBLISH_ALL_EVERY
        if not await self._publish_snapshot((), all_of=() if due else None):
            self._changed.set()
        if due:
            self._all_published = now
