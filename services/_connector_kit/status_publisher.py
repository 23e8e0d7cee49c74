"""Publishes a connector's status on `<connector>:events:connector_status`."""

import asyncio
from collections.abc import Callable, Sequence

from common_models import CancelAllProgress, ConnectorStatusEvent, RetryStatus
from services._connector_kit.market_data.status import FEED, FeedStatus, retry_status
from services._connector_kit.world import World
from services._runtime.health import Readiness
from services._runtime.stream_writer.writer import OutStream

# The whole status is published this often even if nothing changed, in seconds.
PUBLISH_INTERVAL = 10.0


class StatusPublisher:
    """One connector's status: each change at once, the whole again and again.

    While Redis is away only the latest waits: *stream* conflates. `reason_code` says why new
    orders are refused, `reason` the same in words; None: they aren't.
    """

    def __init__(
        self,
        exchange: str,
        world: Callable[[], World],
        stream: OutStream,
        dropped: Callable[[], int],
        readiness: Readiness,
    ) -> None:
        self.reason_code: str | None = "starting"
        self.reason: str | None = None
        self._exchange = exchange
        self._world = world
        self._stream = stream
        self._dropped = dropped
        self._readiness = readiness
        self._feeds: Sequence[FeedStatus] = ()
        self._cancelling: dict[str, CancelAllProgress] = {}
        self._loop = asyncio.get_running_loop()
        self._scheduled = False

    def watch(self, feeds: Sequence[FeedStatus]) -> None:
        """These are the connector's feeds."""
        self._feeds = feeds
        for feed in feeds:
            feed.on_change = self.changed
        self.changed()

    def trading(self, reason_code: str | None, reason: str | None = None) -> None:
        """Whether new orders are taken."""
        self.reason_code, self.reason = reason_code, reason
        self.changed()

    def cancelling(self, lane: str, progress: CancelAllProgress | None) -> None:
        """How far a `cancel_all_orders` of that lane is; None: none is being carried out."""
        if progress is not None:
            self._cancelling[lane] = progress
        elif self._cancelling.pop(lane, None) is None:
            return
        self.changed()

    def _cancel_all(self) -> CancelAllProgress | None:
        """The one that ends last; they cancel the same orders."""
        return max(self._cancelling.values(), key=lambda p: p.seconds_left, default=None)

    def _not_ready(self) -> dict[str, str]:
        """The parts that don't work, without the feeds: each feed has its own status."""
        waits = self._readiness.waits
        return {part: why for part, why in waits.items() if not part.startswith(FEED)}

    def _retries(self) -> dict[str, RetryStatus]:
        """Of the same parts those that are tried again."""
        retries = self._readiness.retries.items()
        return {part: retry_status(r) for part, r in retries if not part.startswith(FEED)}

    def changed(self) -> None:
        """Schedule one status event for all changes in this pass of the event loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._publish)

    async def keep_publishing(self) -> None:
        """Publish the whole status every `PUBLISH_INTERVAL` seconds; runs until cancelled."""
        while True:
            self._publish()
            await asyncio.sleep(PUBLISH_INTERVAL)

    def _publish(self) -> None:
        self._scheduled = False
        event = ConnectorStatusEvent(
            exchange=self._exchange,
            world=self._world(),
            trading=self.reason_code is None,
            symbols=[feed.report() for feed in self._feeds],
            reason_code=self.reason_code,
            reason=self.reason,
            not_ready=self._not_ready(),
            retries=self._retries(),
            entries_dropped=self._dropped(),
            cancel_all=self._cancel_all(),
        )
        self._stream.add(event.model_dump_json().encode())
