"""`make run` and `make live`: run everything on this machine until a signal."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from common_models.stream_names import MarketStream
from services._local.ports import NoPortError, Ports
from services._local.processes import ManagedProcess, ManagedProcessError
from services._local.redis_server import RedisServer
from services._local.reloading import reload_on_change
from services._local.restart import restart_when_killed
from services._local.run_folder import fresh_run_folder
from services._local.screen import screen
from services._local.settings import (
    RunSettings,
    environment,
    started_exchanges,
    usual_indicators,
    with_suite_file,
)
from services._local.terminal import LogTail, print_message, usage_hints
from services._runtime.exchanges import ExchangeManifest
from services._runtime.running_suites import RunningSuite, record_suite
from services._runtime.settings import SettingsError, load

# In seconds: a process must be ready this long after its start.
READY_TIMEOUT = 60.0
SIMULATED = (
    "simulated markets of {titles}, their connectors, indicators, and the bot. "
    "SIMULATOR_SEED={seed} gives the same markets again."
)
LIVE = (
    "public market data of {titles}, indicators, and the bot, which only observes: "
    "there are no keys here, and no order is sent."
)
LOG_POLL_INTERVAL = 0.2
PORTS = {"the bot": 8000, "the indicator host": 8003}
SIMULATOR_PORTS = {"the simulator": 8900, "the simulator's health": 8010}


def main(*, live: bool) -> int:
    """Run until RUN_SECONDS have passed or a signal arrives (0), or until a process fails (1).

    On simulated markets; with *live* on the exchanges' own, without keys and without an order.
    """
    given = dict(os.environ)  # noqa: TID251 - passed on to the processes
    try:
        settings = load(RunSettings)
        given = with_suite_file(given)
        folder = fresh_run_folder(Path.cwd() / ".data")
        with Ports() as ports:
            run = _run(settings, given, ports, folder, live=live)
            return asyncio.run(_until_asked_to_stop(run))
    except (SettingsError, NoPortError, ManagedProcessError, OSError) as e:
        sys.stderr.write(f"make {'live' if live else 'run'}: {e}\n")
        return 1


async def _until_asked_to_stop(run: Coroutine[Any, Any, None]) -> int:
    asked_to_stop = False
    task = asyncio.ensure_future(run)

    def stop() -> None:
        nonlocal asked_to_stop
        if not asked_to_stop:
            asked_to_stop = True
            print_message("Stopping.")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not asked_to_stop:
            raise
    except BaseExceptionGroup as group:
        failed, others = group.split(ManagedProcessError)
        if failed is None or others is not None:
            raise
        raise ManagedProcessError("; ".join(str(e) for e in failed.exceptions)) from None
    return 0


async def _run(
    settings: RunSettings, given: Mapping[str, str], ports: Ports, folder: Path, *, live: bool
) -> None:
    started = time.monotonic()
    port_of = _claim_ports(ports, own_redis=settings.own_redis, live=live)
    bot = ManagedProcess("bot", port_of["the bot"], folder)
    exchanges = started_exchanges(live=live)
    markets = {each.name: settings.markets[each.name] for each in exchanges}
    connectors = [
        ManagedProcess(each.connector, port_of[_connector_of(each)], folder) for each in exchanges
    ]
    indicators = ManagedProcess("indicators", port_of["the indicator host"], folder)
    venues: tuple[ManagedProcess, ...] = ()
    if not live:
        venues = (ManagedProcess("exchange_simulator", port_of["the simulator's health"], folder),)
    processes = [bot, indicators, *connectors, *venues]
    has_screen = sys.stdout.isatty()
    logs = [LogTail(process.name, process.log, has_screen=has_screen) for process in processes]
    async with (
        _shown_to_the_end(logs),
        _redis(settings, port_of.get("Redis"), folder) as redis,
        _stopped_in_turn((bot, indicators), connectors, venues),
        asyncio.TaskGroup() as tasks,
    ):
        watching = (
            redis.watch(),
            *(restart_when_killed(p.name, p.log, p.wait_for_exit, p.restart) for p in processes),
        )
        watches = [tasks.create_task(watch) for watch in (*watching, _keep_showing(logs))]
        source = "trade" if live else "1s"  # real markets may not trade each second
        variables = environment(
            given,
            redis.url,
            port_of.get("the simulator"),
            usual_indicators(markets, source),
            settings.strategies,
        )
        # Start the simulator first: connectors that can't reach it wait before they retry.
        await _start(venues, variables)
        await _start((*connectors, indicators, bot), variables)
        for process, variable in ((bot, "STRATEGIES"), (indicators, "INDICATOR_PLUGINS")):
            watches.append(tasks.create_task(reload_on_change(process, variable, variables)))
        recorded_url = redis.url if redis.server else None  # the user's URL may hold a password
        record_suite(
            folder, RunningSuite(recorded_url, {process.name: process.url for process in processes})
        )
        exchange, symbols = next(iter(markets.items()))
        stream = MarketStream.of(exchange, symbols[0], "trades")
        what = (LIVE if live else SIMULATED).format(
            titles=" and ".join(each.title for each in exchanges),
            seed=variables.get("SIMULATOR_SEED"),
        )
        ready = f"Ready after {time.monotonic() - started:.1f} s: {what}"
        print_message(usage_hints(ready, redis.cli, str(stream), processes, folder))
        async with _screen(redis.url, markets):
            await _wait(settings.run_seconds)
        for watch in watches:
            watch.cancel()


def _connector_of(exchange: ExchangeManifest) -> str:
    return f"the {exchange.title} connector"


async def _start(processes: Sequence[ManagedProcess], variables: Mapping[str, str]) -> None:
    for process in processes:
        await process.start(variables)
    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(process.until_ready(http, READY_TIMEOUT) for process in processes))


def _screen(
    redis_url: str, markets: Mapping[str, Sequence[str]]
) -> AbstractAsyncContextManager[None]:
    """Tables on a terminal; without one, log lines are enough."""
    if not sys.stdout.isatty():
        return nullcontext()
    return screen(redis_url, markets)


async def _wait(seconds: float | None) -> None:
    if seconds is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(seconds)


def _claim_ports(ports: Ports, *, own_redis: bool, live: bool) -> dict[str, int]:
    """Claim a port for each process; print a message if the usual one is in use."""
    wanted = PORTS | {_connector_of(e): e.health_port for e in started_exchanges(live=live)}
    if own_redis:
        wanted["Redis"] = 6379
    if not live:
        wanted |= SIMULATOR_PORTS
    found = ports.take_each(wanted)
    for whose, port in wanted.items():
        if found[whose] != port:
            print_message(f"Port {port} is in use: {whose} uses {found[whose]}.")
    return found


@dataclass(frozen=True, slots=True)
class _RunRedis:
    """The Redis of this run, and the redis-cli command for it."""

    url: str
    cli: str
    server: RedisServer | None

    async def watch(self) -> None:
        """Restart the launcher's own server, with its data, whenever a signal kills it.

        Raises:
            ManagedProcessError: the server exited by itself, or can't be restarted.
        """
        if (server := self.server) is None:
            return

        async def wait_for_exit() -> int:
            return -1 if server.process is None else await server.process.wait()

        log = server.data_dir / "valkey.log"
        await restart_when_killed("Redis", log, wait_for_exit, partial(_start_server, server))


@asynccontextmanager
async def _redis(settings: RunSettings, port: int | None, folder: Path) -> AsyncIterator[_RunRedis]:
    if port is None:
        # The URL may hold a password.
        yield _RunRedis(settings.redis_url, 'redis-cli -u "$REDIS_URL"', None)
        return
    server = RedisServer(folder / "redis", port)
    try:
        await _start_server(server)
        yield _RunRedis(server.url, f"redis-cli -p {port}", server)
    finally:
        await server.stop()


async def _start_server(server: RedisServer) -> None:
    try:
        await server.start()
    except RuntimeError as e:
        raise ManagedProcessError(str(e)) from None


@asynccontextmanager
async def _stopped_in_turn(*groups: Sequence[ManagedProcess]) -> AsyncIterator[None]:
    """Stop the processes at the end of the block, group by group."""
    try:
        yield
    finally:
        for group in groups:
            await asyncio.gather(*(process.stop() for process in group))


async def _keep_showing(logs: Sequence[LogTail]) -> None:
    while True:
        for log in logs:
            log.show()
        await asyncio.sleep(LOG_POLL_INTERVAL)


@asynccontextmanager
async def _shown_to_the_end(logs: Sequence[LogTail]) -> AsyncIterator[None]:
    """At the end of the block, show the last log lines of the processes."""
    try:
        yield
    finally:
        for log in logs:
            log.show()
