"""A connector's status: each change at once, the whole again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import cast

from common_models import CancelAllProgress, ConnectorStatusEvent, RetryStatus
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.status_publisher import PUBLISH_INTERVAL, StatusPublisher
from services._runtime.health import Readiness
from services._runtime.stream_writer.writer import OutStream
from services._runtime.supervise import Retry
from tests.support.market_data.fake_streams import KeptStream
from tests.support.virtual_time import run_virtually


class Told:
    """A board of two feeds, and what it told."""

    def __init__(self) -> None:
        self.stream = KeptStream(maxlen=10, keep_all=False)
        self.readiness = Readiness()
        self.dropped = 0
        self.publisher = StatusPublisher(
            "binance",
            lambda: "simulator",
            cast(OutStream, self.stream),
            lambda: self.dropped,
            self.readiness,
        )
        self.feeds = [FeedStatus(each, self.readiness) for each in ("BTC/USDT", "ETH/USDT")]

    @property
    def events(self) -> list[ConnectorStatusEvent]:
        """All of it, validated."""
        return [ConnectorStatusEvent.model_validate_json(data) for data in self.stream.added]


def with_publisher(scenario: Callable[[Told], Awaitable[None]]) -> None:
    """Run *scenario* in virtual time."""

    async def main() -> None:
        await scenario(Told())

    run_virtually(main())


def test_simultaneous_changes_are_published_in_one_complete_message() -> None:
    """One message names every symbol, whichever of them changed."""

    async def scenario(told: Told) -> None:
        told.publisher.watch(told.feeds)
        told.publisher.trading("no_credentials")
        told.feeds[0].live()
        await asyncio.sleep(0)
        (event,) = told.events
        assert (event.exchange, event.world) == ("binance", "simulator")
        assert (event.trading, event.reason_code) == (False, "no_credentials")
        assert [(s.symbol, s.state) for s in event.symbols] == [
            ("BTC/USDT", "live"),
            ("ETH/USDT", "syncing"),
        ]
        told.feeds[0].stale("the socket is gone")
        await asyncio.sleep(0)
        assert [s.state for s in told.events[-1].symbols] == ["stale", "syncing"]
        assert len(told.events) == 2

    with_publisher(scenario)


def test_the_complete_status_is_published_again_without_a_change() -> None:
    """A reader that joins later, or lost one, waits ten seconds at most."""

    async def scenario(told: Told) -> None:
        task = asyncio.create_task(told.publisher.keep_publishing())
        await asyncio.sleep(3.5 * PUBLISH_INTERVAL)
        assert len(told.events) == 4
        task.cancel()
        await asyncio.wait([task])

    with_publisher(scenario)


def test_it_trades_once_nothing_speaks_against_it() -> None:
    """Until the connector knows, it says that it is starting."""

    async def scenario(told: Told) -> None:
        told.publisher.changed()
        await asyncio.sleep(0)
        assert (told.events[-1].trading, told.events[-1].reason_code) == (False, "starting")
        told.publisher.trading(None)
        await asyncio.sleep(0)
        assert (told.events[-1].trading, told.events[-1].reason_code) == (True, None)

    with_publisher(scenario)


def test_it_says_how_many_entries_redis_never_got() -> None:
    """At the next telling."""

    async def scenario(told: Told) -> None:
        told.dropped = 5
        told.publisher.changed()
        await asyncio.sleep(0)
        assert told.events[-1].entries_dropped == 5

    with_publisher(scenario)


def test_unready_parts_and_disabled_trading_are_published_with_their_reasons() -> None:
    """As `/ready` names it; and in words why no order is taken."""

    async def scenario(told: Told) -> None:
        told.publisher.watch(told.feeds)
        told.readiness.waiting("exchange", "451")
        told.publisher.trading("key_refused", "comparison: Binance answered 401")
        await asyncio.sleep(0)
        assert told.events[-1].not_ready == {"exchange": "451"}
        assert told.events[-1].reason == "comparison: Binance answered 401"
        told.readiness.ok("exchange")
        told.publisher.trading(None)
        await asyncio.sleep(0)
        assert told.events[-1].not_ready == {}
        assert told.events[-1].reason is None

    with_publisher(scenario)


def test_retries_are_published_with_their_attempt_and_the_time_of_the_next() -> None:
    """Parts in `retries`, feeds with their symbol; nothing of it once they work."""

    async def scenario(told: Told) -> None:
        told.publisher.watch(told.feeds)
        told.readiness.retrying("exchange", Retry("no DNS", 7, monotonic() + 60))
        told.feeds[0].retrying(Retry("refused", 3, monotonic() - 1))
        await asyncio.sleep(0)
        event = told.events[-1]
        assert event.not_ready == {"exchange": "no DNS"}
        assert event.retries.keys() == {"exchange"}
        assert event.retries["exchange"].attempt == 7
        assert 55 < event.retries["exchange"].next_try_in <= 60
        first, second = event.symbols
        assert (first.state, first.reason) == ("stale", "refused")
        assert first.retry == RetryStatus(attempt=3, next_try_in=0)
        assert second.retry is None
        told.readiness.ok("exchange")
        told.feeds[0].live()
        await asyncio.sleep(0)
        assert told.events[-1].retries == {}
        assert told.events[-1].symbols[0].retry is None

    with_publisher(scenario)


def test_the_progress_of_a_cancel_all_is_published_while_it_runs() -> None:
    """Of two lanes the one that ends last; nothing is told where nothing was said."""

    async def scenario(told: Told) -> None:
        bots, operators = (CancelAllProgress(left=9, done=1, seconds_left=s) for s in (4.0, 3.0))
        told.publisher.cancelling("operator", None)
        await asyncio.sleep(0)
        assert told.events == []
        for lane, progress in (
            ("cancel_all", bots),
            ("operator", operators),
            ("cancel_all", None),
            ("operator", None),
        ):
            told.publisher.cancelling(lane, progress)
            await asyncio.sleep(0)
        said = [event.cancel_all for event in told.events]
        assert said == [bots, bots, operators, None]

    with_publisher(scenario)
