"""Assembles and runs the order path: reads commands, publishes answers and account events."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import structlog
from redis.asyncio import Redis

from common_models import CancelAllProgress
from common_models.stream_names import CommandStream, OperatorStream, connector
from services._connector_kit.clock import SystemClock, VenueClock
from services._connector_kit.errors import (
    FeedStoppedError,
    RejectedError,
    TransientError,
    patience,
)
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.published_balances import PublishedBalances
from services._connector_kit.orders.account.reconciler import AccountReconciler
from services._connector_kit.orders.commands.dead_man_switch import watch_bot
from services._connector_kit.orders.commands.place_order_consumer import (
    ConsumerTimings,
    PlaceOrderConsumer,
)
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.commands.request_consumer import RequestConsumer
from services._connector_kit.orders.commands.stream_guard import StreamGuard
from services._connector_kit.orders.commands.stream_trimming import keep_trimmed
from services._connector_kit.orders.execution.evidence import ExecutorTimings
from services._connector_kit.orders.execution.late_order_watch import watch_late_orders
from services._connector_kit.orders.execution.no_credentials import (
    NoCredentialsExecutor,
    NoCredentialsVenue,
)
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._connector_kit.orders.order_metrics import OrderMetrics, outcome_recorder
from services._connector_kit.orders.ports import PreTradeChecks, Rejection
from services._connector_kit.orders.settings import TradingSettings
from services._connector_kit.orders.trading import Trading
from services._connector_kit.venue_stats import VenueStats
from services._runtime.health import Readiness
from services._runtime.metrics import Metrics
from services._runtime.redis_client import open_redis
from services._runtime.supervise import full_jitter

log = structlog.get_logger()

# Each lane has its own connection and task: other commands never delay an operator's, and single
# cancels never delay a cancel-all. By part: whether it reads the operator's streams, and which
# commands.
LANES: Mapping[str, tuple[bool, Sequence[str]]] = {
    "operator": (True, ("cancel_all_orders", "cancel_order")),
    "cancel_all": (False, ("cancel_all_orders",)),
    "cancels": (False, ("cancel_order",)),
    "requests": (False, ("query_order", "request_balance")),
}
# Seconds of one wait for the venue's time; it is repeated until the time is known.
CLOCK_WITHIN = 60.0


def command_streams(name: str) -> list[CommandStream | OperatorStream]:
    """List all command streams of a connector."""
    found: list[CommandStream | OperatorStream] = [CommandStream(name, "place_order")]
    for operator, commands in LANES.values():
        kind = OperatorStream if operator else CommandStream
        found += [kind(name, command) for command in commands]
    return found


async def serve_orders(  # noqa: PLR0913 - the parts that it assembles
    exchange: str,
    trading: Trading | None,
    redis: Redis,
    settings: TradingSettings,
    readiness: Readiness,
    metrics: Metrics,
    stats: VenueStats,
    health: AccountHealth,
    *,
    checks: PreTradeChecks | None,
    halted: Callable[[], Awaitable[Rejection | None]],
    on_progress: Callable[[str, CancelAllProgress | None], None],
) -> None:
    """Serve one exchange's commands until cancelled.

    Without credentials *trading* and *checks* are `None`. *halted* returns why trading is halted,
    else None. *on_progress* gets a part's name and the progress of its cancel-all, None at its end.
    """
    name = connector(exchange)
    clock = SystemClock()
    no_credentials = NoCredentialsVenue()
    venue = trading.orders if trading else no_credentials
    counts = OrderMetrics(venue.milliseconds)
    metrics.watch(counts.metrics)
    ledger = Ledger(redis, name, exchange, settings.events_maxlen, counts)
    account: AccountReconciler | None = None
    if trading is None:
        log.warning("no_credentials", meaning="market data only; commands are rejected")
    else:
        balances = PublishedBalances(redis, name, exchange, settings.events_maxlen)
        interval = settings.reconcile_interval
        account = AccountReconciler(trading.account, ledger, balances, clock, interval, health)
    journal = RedisJournal(
        redis,
        name,
        settings.events_maxlen,
        on_accepted=account.order_accepted if account else lambda: None,
        counts=counts,
    )
    timings = ExecutorTimings(
        margin=settings.order_resolve_margin, missed_for=settings.order_missed_for
    )
    executor = (OrderExecutor if trading else NoCredentialsExecutor)(
        venue,
        checks or no_credentials,
        journal,
        clock,
        timings,
        on_outcome=outcome_recorder(counts, stats.requests, health.order_refused),
    )
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

        async def open_queue(
            part: str, commands: Sequence[str], *, operator: bool
        ) -> RedisCommandQueue:
            client = open_redis(settings.redis_url, f"{name}_{part}", single=True)
            return RedisCommandQueue(
                await stack.enter_async_context(client),
                name,
                commands,
                settings.instance_id,
                lease_ms=round(settings.order_lease * 1000),
                take_over_after_ms=round(settings.order_take_over_after * 1000),
                on_state=lambda reason: _report_part(readiness, part, reason),
                counts=counts,
                operator=operator,
            )

        consumer = PlaceOrderConsumer(
            await open_queue("orders", ["place_order"], operator=False),
            executor,
            clock,
            ConsumerTimings(
                max_age=settings.order_command_max_age,
                settle=settings.order_settle,
                recover_every=settings.reconcile_interval,
            ),
            halted=halted,
        )
        tasks.create_task(consumer.run())
        for part, (operator, commands) in LANES.items():
            requests = RequestConsumer(
                await open_queue(part, commands, operator=operator),
                journal,
                clock,
                exchange,
                trading.account if trading else None,
                account,
                ledger,
                venue.milliseconds,
                orders_waiting=journal.orders_waiting,
                newest_entry=journal.newest_entry,
                operator=operator,
                estimate=stats.limits.requests.seconds_for,
                on_progress=partial(on_progress, part),
            )
            tasks.create_task(requests.run())
        streams = command_streams(name)
        tasks.create_task(keep_trimmed(redis, name, streams, clock))
        tasks.create_task(StreamGuard(redis, name, streams, clock, counts).run())
        if trading and account:
            metrics.watch(account.metrics)
            tasks.create_task(account.run())
            tasks.create_task(watch_late_orders(venue, journal, clock))
            if settings.dead_man_switch:
                watching = watch_bot(
                    redis, ledger, trading.account, clock, settings.dead_man_switch
                )
                tasks.create_task(watching)
            health.down("clock", "not measured yet")
            tasks.create_task(trading.clock.keep_measured(trading.fetch_time))
            tasks.create_task(_await_clock(trading.clock, health))
            if trading.check_key is not None:
                health.down("key", "its permissions are not known yet")
                tasks.create_task(_check_key(trading.check_key, clock, readiness, health))


async def _await_clock(clock: VenueClock, health: AccountHealth) -> None:
    """Report the clock as healthy once the venue's time is known."""
    while not await clock.known(CLOCK_WITHIN):
        pass
    health.up("clock")


async def _check_key(
    check: Callable[[], Awaitable[None]],
    clock: SystemClock,
    readiness: Readiness,
    health: AccountHealth,
) -> None:
    """Check the API key's permissions, and retry until the venue answers.

    Raises:
        FatalError: the key has too many permissions.
    """
    readiness.waiting("key", "its permissions are not known yet")
    delays = full_jitter()
    while True:
        try:
            await check()
        except FeedStoppedError as e:
            reason, min_delay = str(e), patience(e)
            health.refused("key", reason)
        except (TransientError, RejectedError) as e:
            reason = f"its permissions are not known yet: {e}"
            min_delay = patience(e)
            health.down("key", reason)
        else:
            health.up("key")
            readiness.ok("key")
            return
        readiness.waiting("key", reason)
        await clock.sleep(max(next(delays), min_delay))


def _report_part(readiness: Readiness, part: str, reason: str | None) -> None:
    if reason is None:
        readiness.ok(part)
    else:
        readiness.waiting(part, reason)
