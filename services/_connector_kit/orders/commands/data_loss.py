"""Detects that Redis may have lost data, and until when its records may be incomplete."""

import structlog

from services._connector_kit.orders.ports import CommandQueue, DataLossRecord, RedisIdentity

log = structlog.get_logger()


class DataLossDetector:
    """Compares the connected Redis with the last known one. Times are Redis milliseconds.

    Within `recovery_window` after a loss, the venue is queried before a new command is sent: a bot
    may repeat an id whose answer was lost.
    """

    def __init__(self, recovery_window: int) -> None:
        self.data_lost_at = -1
        self._recovery_window = recovery_window
        self._recovery_until = -1
        self._identity: str | None = None

    async def check(self, queue: CommandQueue) -> bool:
        """Return whether Redis may have lost data since the last check.

        Call it on every new connection, before anything read on it is handled.
        """
        created_groups = await queue.prepare()
        newest = await queue.newest_entry()
        known = await queue.load_data_loss()
        server = await queue.server()
        lost_data = self._lost_data(server, known, created_groups=created_groups, newest=newest)
        if lost_data:
            # The old server's clock may have been ahead of this one's.
            self.data_lost_at = max(server.milliseconds, newest)
            self._recovery_until = self.data_lost_at + self._recovery_window
            log.warning("redis_may_have_lost_data", up_to=self.data_lost_at)
        elif known is None:
            # Apparently a first start, without a loss. But a Redis that lost everything while no
            # connector ran looks the same.
            self._recovery_until = server.milliseconds + self._recovery_window
        else:
            self.data_lost_at = max(self.data_lost_at, known.data_lost_at)
            self._recovery_until = max(self._recovery_until, known.recovery_until)
        await queue.save_data_loss(
            DataLossRecord(server.identity, self.data_lost_at, self._recovery_until)
        )
        self._identity = server.identity
        return lost_data

    def _lost_data(
        self,
        server: RedisIdentity,
        known: DataLossRecord | None,
        *,
        created_groups: bool,
        newest: int,
    ) -> bool:
        if self._identity is not None and server.identity != self._identity:
            return True
        if known is None:
            # A first start finds no entries: the groups exist before anything is published.
            return self._identity is not None or newest > 0
        return known.identity != server.identity or created_groups

    def predates_data_loss(self, milliseconds: int) -> bool:
        """True if Redis may have lost the records of that time."""
        return milliseconds <= self.data_lost_at

    @property
    def recovery_began_at(self) -> int:
        """Start of the recovery window in Redis milliseconds; negative if there is none.

        Requests that were sent before it may still be on their way to the venue.
        """
        return self._recovery_until - self._recovery_window

    def in_recovery_window(self, milliseconds: int) -> bool:
        """True if a command of that time may repeat one whose record was lost."""
        return milliseconds <= self._recovery_until
