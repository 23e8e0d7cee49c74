"""Whether Redis may have forgotten, and up to when its word is not enough."""

import structlog

from services._connector_kit.orders.ports import CommandQueue, DataLossRecord, RedisIdentity

log = structlog.get_logger()


class DataLossDetector:
    """What this connector knows about its Redis. All times are Redis's, in milliseconds.

    For `careful_for` after forgetting, a later command is looked up at the venue before it is sent:
    a bot may send an id again because its answer was wiped.
    """

    def __init__(self, careful_for: int) -> None:
        self.forgotten_at = -1
        self._careful_for = careful_for
        self._careful_until = -1
        self._identity: str | None = None

    async def check(self, bus: CommandQueue) -> bool:
        """Whether Redis may have forgotten since the last check.

        To be called on every new connection, before anything that it gives is acted on.
        """
        made_groups = await bus.prepare()
        newest = await bus.newest_entry()
        known = await bus.remembered()
        server = await bus.server()
        forgot = self._forgot(server, known, made_groups=made_groups, newest=newest)
        if forgot:
            # The old server's clock may have been ahead of this one's.
            self.forgotten_at = max(server.milliseconds, newest)
            self._careful_until = self.forgotten_at + self._careful_for
            log.warning("redis_may_have_forgotten", up_to=self.forgotten_at)
        elif known is None:
            # A first start, as far as anybody can tell: nothing to doubt. But a Redis that lost
            # everything while no connector ran looks the same.
            self._careful_until = server.milliseconds + self._careful_for
        else:
            self.forgotten_at = max(self.forgotten_at, known.forgotten_at)
            self._careful_until = max(self._careful_until, known.careful_until)
        await bus.remember(DataLossRecord(server.identity, self.forgotten_at, self._careful_until))
        self._identity = server.identity
        return forgot

    def _forgot(
        self, server: RedisIdentity, known: DataLossRecord | None, *, made_groups: bool, newest: int
    ) -> bool:
        if self._identity is not None and server.identity != self._identity:
            return True
        if known is None:
            # A first start finds nothing: the groups exist before anything is published.
            return self._identity is not None or newest > 0
        return known.identity != server.identity or made_groups

    def doubts(self, milliseconds: int) -> bool:
        """True for a moment of which Redis may have forgotten what was done then."""
        return milliseconds <= self.forgotten_at

    @property
    def began_at(self) -> int:
        """When a Redis was met that has forgotten, or knows nothing; negative where neither.

        What was sent before may still be on its way to the venue.
        """
        return self._careful_until - self._careful_for

    def careful(self, milliseconds: int) -> bool:
        """True while a later command may be one that was carried out and forgotten."""
        return milliseconds <= self._careful_until
