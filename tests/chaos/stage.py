"""Where a run takes place: a Redis, a simulator and connectors of its own, as real processes."""

import json
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models.stream_names import CommandStream, connector, state_key
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.commands.request_consumer import COMMANDS
from services._connector_kit.orders.keys import order_key
from services._connector_kit.orders.ports import DataLossRecord
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.chaos.evidence import PLACE, ask_simulator, group_of
from tests.chaos.plan import FAULTS, MARGIN, QUERY_FAULT, Plan
from tests.support.eventually import eventually_async
from tests.support.network.fault_proxy import FaultProxy, fault_proxy
from tests.support.processes import Service, running
from tests.support.venues.simulated import BINANCE, LUNO, is_ready, report

VENUES = {"binance": BINANCE, "luno": LUNO}
SYMBOLS = {"binance": "BTC/USDT", "luno": "XBT/ZAR"}
# Far enough below the market to rest, near enough to be taken.
RESTING = {"binance": 60_000, "luno": 1_300_000}
KEYS = {
    "binance": {"BINANCE_API_KEY": "simulator-key", "BINANCE_API_SECRET": "simulator-secret"},
    "luno": {},  # the venue has them
}
SCALED = {
    "ORDER_RESOLVE_MARGIN": str(MARGIN),
    "ORDER_MISSED_FOR": "1",
    "RECONCILE_INTERVAL": "1",
    "ORDER_BOOK_INTERVAL": "0.5",
}
STALE_MS = 60_000
TAKEN_UP_WITHIN = 10.0
# Longer than an entry may lie with an instance that doesn't answer.
LAIN_MS = 120_000
# Generous: many processes start at once.
UP_WITHIN = 90.0
# Below the ports that the system hands out, so that nobody's connection takes one meanwhile.
FIRST_PORT, PORT_BLOCKS, PORTS = 18_000, 1_700, 8


@dataclass
class Stage:
    """One run's world. `url` leads the connectors to Redis, `redis` is our own way to it."""

    plan: Plan
    folder: Path
    server: RedisServer
    redis: Redis
    simulator_port: int
    ports: Iterator[int]
    url: str
    proxy: FaultProxy | None

    @property
    def client(self) -> Any:
        """Our own client of Redis."""
        return self.redis

    @property
    def name(self) -> str:
        """The connector's name."""
        return connector(self.plan.venue)

    def stream(self, command: str) -> str:
        """A command's stream."""
        return str(CommandStream(self.name, command))

    async def place(self, what: str, entry_id: str = "*", **changed: object) -> None:
        """The command for the order called *what*; *changed* says what is different."""
        kind = "limit" if what != "market" else "market"
        command: dict[str, object] = {
            "client_order_id": f"c{self.plan.seed}-{what}",
            "symbol": SYMBOLS[self.plan.venue],
            "type": kind,
            "side": self.plan.side if kind == "market" else "buy",
            "quantity": 0.001,
        }
        if kind == "limit":
            command["price"] = RESTING[self.plan.venue]
        data = json.dumps(command | changed)
        await self.client.xadd(self.stream(PLACE), {"data": data}, id=entry_id)

    async def ask(self, command: str, request_id: str, **fields: object) -> None:
        """Another command."""
        data = json.dumps({"client_request_id": request_id, **fields})
        await self.client.xadd(self.stream(command), {"data": data})

    async def reachable(self) -> None:
        """Wait until our own client reaches Redis."""

        async def answers() -> bool:
            try:
                return bool(await self.client.ping())
            except (RedisError, OSError):
                return False

        await eventually_async(answers)


@asynccontextmanager
async def set_up(plan: Plan, folder: Path) -> AsyncIterator[Stage]:
    """Redis and the simulator run, the faults are in force, no connector runs yet."""
    ports = _ports(plan.seed)
    simulator_port = next(ports)
    async with AsyncExitStack() as stack:
        server = RedisServer(folder / "redis", next(ports))
        await server.start()
        stack.push_async_callback(server.kill)
        redis = await stack.enter_async_context(open_redis(server.url, "chaos"))
        proxy = (
            await stack.enter_async_context(fault_proxy(server.port)) if plan.lost_replies else None
        )
        health_port = next(ports)
        settings = {
            "SIMULATOR_PORT": str(simulator_port),
            "HEALTH_PORT": str(health_port),
            "SIMULATOR_RATE": "5",
            "SIMULATOR_BOOK_ORDERS": "50",
            "SIMULATOR_SYMBOLS": SYMBOLS[plan.venue],
            "SIMULATOR_SEED": str(plan.seed),
        }
        await stack.enter_async_context(running("exchange_simulator", settings, folder))
        await eventually_async(lambda: is_ready(health_port), within=UP_WITHIN)
        await ask_simulator(simulator_port, "faults", "POST", _rules(plan))
        url = proxy.url if proxy else server.url
        yield Stage(plan, folder, server, redis, simulator_port, ports, url, proxy)


def _rules(plan: Plan) -> list[dict[str, Any]]:
    """The run's faults, as the simulator takes them."""
    rules = []
    if fault := FAULTS[plan.fault]:
        endpoint = fault.get("endpoint", "place")
        aimed = {"contains": f"c{plan.seed}-{plan.target}"} if endpoint == "place" else {}
        rules.append({"venue": plan.venue, "endpoint": endpoint, **aimed, **fault})
    if plan.fault == "query_5xx":
        rules.append({"venue": plan.venue, "endpoint": "query", **QUERY_FAULT})
    if plan.stream_fault:
        rules.append(
            {"venue": plan.venue, "endpoint": "user_stream", "action": plan.stream_fault, "skip": 1}
        )
    return rules


@asynccontextmanager
async def instance(stage: Stage, name: str, failpoint: str = "") -> AsyncIterator[Service]:
    """A connector as a process, ready (or killed already) when the block starts."""
    plan = stage.plan
    venue = VENUES[plan.venue]
    health_port = next(stage.ports)
    environment = {
        **venue.environment(stage.simulator_port, stage.url, health_port),
        **KEYS[plan.venue],
        **SCALED,
        "ORDER_VALIDITY": str(plan.validity),
        # Where Redis forgot, an order waits for a validity and 3 s more before it is sent.
        "ORDER_COMMAND_MAX_AGE": str(plan.validity + 6),
        venue.setting: SYMBOLS[plan.venue],
        "INSTANCE_ID": name,
        "FAILPOINT": failpoint,
    }
    async with running(venue.module, environment, stage.folder / name) as service:

        async def up() -> bool:
            return is_down(service) or await is_ready(health_port)

        try:
            await eventually_async(up, within=UP_WITHIN)
        except AssertionError as e:
            _, page = await report(health_port)
            log = service.log.read_text()[-9000:]
            raise AssertionError(f"{plan}: {name} isn't ready: {page}\n{log}") from e
        yield service


def is_down(service: Service) -> bool:
    """Whether it has ended, or was stopped by SIGSTOP."""
    if service.exited:
        return True
    try:
        stat = Path(f"/proc/{service.process.pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False  # ended just now: `exited` is about to say so
    return stat.rpartition(")")[2].split()[0] == "T"


async def remember_for_long(stage: Stage) -> None:
    """As if this connector had worked on this Redis for long: its groups, and who it was."""
    async with stage.redis.client() as connection:
        bus = RedisCommandQueue(connection, stage.name, (PLACE, *COMMANDS), "chaos")
        await bus.prepare()
        server = await bus.server()
        await bus.save_data_loss(DataLossRecord(server.identity, -1, -1))


async def send(stage: Stage) -> None:
    """A little of everything: a stale command, two limits, a market, ids used again, a cancel."""
    prefix = f"c{stage.plan.seed}"
    await stage.place("stale", f"{time.time_ns() // 1_000_000 - STALE_MS}-0")
    await stage.place("limit")
    await stage.place("market")
    await stage.place("cancelled")
    await stage.place("market")
    await stage.place("limit", quantity=0.002)
    await stage.place("unreadable", typo=1)
    symbol = SYMBOLS[stage.plan.venue]
    if stage.plan.patient:
        await _until_taken_up(stage, f"{prefix}-cancelled")
    await stage.ask(
        "cancel_order", f"{prefix}-cancel", symbol=symbol, client_order_id=f"{prefix}-cancelled"
    )
    await stage.ask("request_balance", f"{prefix}-balance", exchange=stage.plan.venue)


async def _until_taken_up(stage: Stage, client_order_id: str) -> None:
    """Wait until the order has a record; not for long, as whoever would take it may be dead."""

    async def has_record() -> bool:
        return bool(await stage.client.exists(order_key(stage.name, client_order_id)))

    with suppress(AssertionError):
        await eventually_async(has_record, within=TAKEN_UP_WITHIN)


async def send_again(stage: Stage) -> None:
    """What a bot does whose answers were wiped: the same commands, under the same ids."""
    for what in ("limit", "market", "cancelled"):
        await stage.place(what)


async def meet_fate(stage: Stage) -> None:
    """What happens to Redis."""
    if stage.plan.fate == "kept":
        return
    await stage.server.kill()
    if stage.plan.fate == "emptied":
        shutil.rmtree(stage.server.data_dir)
    await stage.server.start()
    await stage.reachable()


async def let_time_pass(stage: Stage) -> None:
    """In Redis only: the lease has run out, and what was read lies for long."""
    await stage.client.pexpire(state_key(stage.name, "lease"), 1)
    for command in (PLACE, *COMMANDS):
        stream = stage.stream(command)
        if await group_of(stage.redis, stream, stage.name) is None:
            continue
        lying = await stage.client.xpending_range(stream, stage.name, "-", "+", 100)
        for entry in lying:
            await stage.client.xclaim(
                stream,
                stage.name,
                entry["consumer"],
                0,
                [entry["message_id"]],
                idle=LAIN_MS,
                justid=True,
            )


def wake(service: Service) -> None:
    """Let a stopped process go on."""
    service.process.send_signal(signal.SIGCONT)


def _ports(seed: int) -> Iterator[int]:
    """Ports of this run alone, as far as nobody else holds them."""
    block = seed % PORT_BLOCKS
    while True:
        first = FIRST_PORT + block * PORTS
        yield from (port for port in range(first, first + PORTS) if _is_free(port))
        block = (block + PORT_BLOCKS // 2 + 1) % PORT_BLOCKS


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
