"""A connector of a simulated world: the product's own classes, put together for one process."""

import asyncio
from dataclasses import dataclass
from typing import Any

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.commands.place_order_consumer import PlaceOrderConsumer
from services._connector_kit.orders.commands.redis_command_queue import LEASE_MS, RedisCommandQueue
from services._connector_kit.orders.execution.late_order_watch import watch_late_orders
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._connector_kit.orders.order_metrics import OrderMetrics
from tests.simulation import loop as virtual
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.redis import EPOCH, FaultyRedis
from tests.simulation.redis_client import Client
from tests.simulation.venue import FaultyVenue, VenuePort
from tests.simulation.venue_order import Order
from tests.simulation.view import CONNECTOR, EXCHANGE, PLACE

EVENTS_MAXLEN = 100_000
LATE_ORDERS_INTERVAL = 30.0
# A lease that nobody keeps: safety is the journal's.
NO_LEASE_MS = 1


@dataclass(frozen=True)
class Core:
    """The classes that make up a connector: the product's, or with a bug planted in one."""

    desk: type[PlaceOrderConsumer] = PlaceOrderConsumer
    executor: type[OrderExecutor] = OrderExecutor
    queue: type[RedisCommandQueue] = RedisCommandQueue


class ClockPort:
    """`Clock`, of one process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._loop = virtual.current()

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    def wall(self) -> float:
        """Virtual seconds since 1970."""
        return EPOCH / 1000 + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._process.sleep(seconds)


class Connector:
    """One run of a connector, as one consumer; `clock_error` is in milliseconds."""

    def __init__(
        self,
        process: Process,
        consumer: str,
        plan: Plan,
        core: Core,
        redis: FaultyRedis,
        venue: FaultyVenue,
        clock_error: float,
    ) -> None:
        self.process = process
        clock = ClockPort(process)
        counts = OrderMetrics(lambda: EPOCH)
        port = VenuePort(process, venue, clock_error)
        client: Any = Client(process, redis)
        single: Any = Client(process, redis, single=True)
        journal = RedisJournal(client, CONNECTOR, EVENTS_MAXLEN, counts=counts)
        queue = core.queue(
            single,
            CONNECTOR,
            [PLACE],
            consumer,
            lease_ms=LEASE_MS if plan.lease else NO_LEASE_MS,
            take_over_after_ms=plan.idle,
            counts=counts,
        )
        desk = core.desk(queue, core.executor(port, port, journal, clock), clock)
        desk._room = asyncio.Semaphore(plan.room)
        self._ledger = Ledger(client, CONNECTOR, EXCHANGE, EVENTS_MAXLEN, counts)
        self._parts = (
            desk.run(),
            watch_late_orders(port, journal, clock, interval=LATE_ORDERS_INTERVAL),
        )
        self.task = process.start(self._run())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in self._parts:
                tasks.create_task(part)

    def hear(self, order: Order) -> None:
        """The account's stream reports an order."""
        self.process.start(self._tell(order))

    async def _tell(self, order: Order) -> None:
        try:
            await self._ledger.publish(order.report("luno"))
        except TransientError:
            """The stream is cut just then."""
