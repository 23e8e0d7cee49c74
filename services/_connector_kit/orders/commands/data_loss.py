"""Whether Redis may have forgotten, and up to when its word is not enough."""

import structlog

from services._connector_kit.orders.ports import CommandQueue, DataLossRecord, RedisIdentity

log = structlog.get_logger()


class DataLossDetector:
    """What this connector knows about its Redis. All times are Redis's, in milliseconds.

    For `recovery_window` after a loss, the venue is asked about a new command before it is sent:
    a bot may send an id again because its answer was wiped.
    """

    def __init__(self, recovery_window: int) -> None:
        self.data_lost_at = -1
        self._recovery_window = recovery_window
        self._recovery_until = -1
        self._identity: str | None = None

    async def check(self, queue: CommandQueue) -> bool:
        """Whether Redis may have forgotten since the last check.

        To be called on every new connection, before anything that it gives is acted on.
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
            log.warning("redis_may_have_forgotten", up_to=self.data_lost_at)
        elif known is None:
            # A first start, as far as anybody can tell: nothing to doubt. But a Redis that lost
            # everything while no connector ran looks the same.
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
            # A first start finds nothing: the groups exist before anything is published.
            return self._identity is not None or newest > 0
        return known.identity != server.identity or created_groups

    def predates_data_loss(self, milliseconds: int) -> bool:
        """True for a moment of which Redis may have forgotten what was done then."""
        return milliseconds <= self.data_lost_at

    @property
    def recovery_began_at(self) -> int:
        """When a Redis was met that has forgotten, or knows nothing; negative where neither.

        What was sent before may still be on its way to the venue.
        """
        return self._recovery_until - self._recovery_window

    def in_recovery_window(self, milliseconds: int) -> bool:
        """True while a later command may be one that was carried out and forgotten."""
        return milliseconds <= self._recovery_until
