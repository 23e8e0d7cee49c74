"""Secrets stand in no log, stream, key, page, answer or process list, whatever goes wrong."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redaction import REDACTED
from services._runtime.redis_client import open_redis
from tests.e2e.canary import Canaries
from tests.e2e.echo_venue import EchoVenue, echo_venue
from tests.support.attempts import Attempts
from tests.support.eventually import eventually, eventually_async
from tests.support.network.fault_proxy import FaultProxy, fault_proxy
from tests.support.orders.trading import MARKETS, SMALL_WAITS, TradingDesk, gather_all
from tests.support.ports import quiet_port
from tests.support.processes import ROOT, Service, running
from tests.support.venues.simulated import BINANCE, LUNO

pytestmark = pytest.mark.timeout(300)

# A signed request is worth something for as long as its window is open.
SIGNED = re.compile(r"signature=[0-9a-f]{8}", re.IGNORECASE)
PAGES = ("/health", "/ready", "/metrics")
TIMELY = 30.0
# How a venue may fail: status, code, and the kind of text.
FAILURES: list[tuple[int, object, str]] = [
    (500, -1000, "application/json"),
    (503, -1000, "text/html"),
    (200, -1000, "text/html"),
    (400, -1100, "application/json"),
    (400, "ErrInvalidParameters", "application/json"),
    (429, -1003, "application/json"),
]


@dataclass
class Stage:
    """Everything that runs, and every text that came out of it."""

    canaries: Canaries
    folder: Path
    redis_url: str
    server: RedisServer
    rest: FaultProxy
    streams: FaultProxy
    simulator_port: int
    echo: EchoVenue
    services: dict[str, Service] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def see(self, where: str, text: str) -> None:
        """A text that somebody can read."""
        self.seen.append((where, text))

    async def look(self, where: str) -> None:
        """All health pages, and all command lines."""
        for name, service in self.services.items():
            command = Path(f"/proc/{service.process.pid}/cmdline")
            if command.exists():
                self.see(f"command line of {name}", command.read_text())
            for path in PAGES:
                self.see(f"{name}{path}, {where}", await self.page(name, path))

    async def page(self, name: str, path: str) -> str:
        """What a service answers, with its headers; empty where it doesn't."""
        ports = re.findall(r'"port": (\d+), "event": "health_served"', self.log(name))
        url = f"http://127.0.0.1:{ports[-1]}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return f"{response.headers} {await response.text()}"
        except aiohttp.ClientConnectionError:
            return ""

    def log(self, name: str) -> str:
        """What a service has logged so far."""
        return self.services[name].log.read_text()

    def desks(self, redis: Redis) -> list[TradingDesk]:
        """A hand on each connector, with its key."""
        keys = (
            {
                "BINANCE_API_KEY": self.canaries.binance_key,
                "BINANCE_API_SECRET": self.canaries.binance_secret,
            },
            self._files(
                LUNO_API_KEY_ID=self.canaries.luno_key_id,
                LUNO_API_SECRET_KEY=self.canaries.luno_secret,
            ),
        )
        return [
            TradingDesk(
                replace(market, venue=replace(market.venue, key={}), key=key),
                redis,
                self.redis_url,
                self.simulator_port,
                self.folder,
            )
            for market, key in zip(MARKETS, keys, strict=True)
        ]

    def _files(self, **secrets: str) -> dict[str, str]:
        """Each secret in a file of its own, as Docker gives them."""
        found = {}
        for name, secret in secrets.items():
            path = self.folder / name.lower()
            path.write_text(secret + "\n")
            found[f"{name}_FILE"] = str(path)
        return found

    async def start(self, stack: AsyncExitStack, redis: Redis) -> list[TradingDesk]:
        """Start all services, at debug level, and wait until they said where they are."""
        debug = {"LOG_LEVEL": "debug", "HEALTH_PORT": "0"}
        in_file = self._files(REDIS_URL=self.redis_url)
        crashing = "tests.support.bot.strategies.Crashing:binance:BTC/USDT:0.002"
        own: dict[str, dict[str, str]] = {
            "bot": {"BOT_MODE": "paper", "STRATEGIES": crashing, **in_file},
            "indicators": {"INDICATORS": "binance:BTC/USDT:rsi_14@trade", **in_file},
        }
        desks = self.desks(redis)
        for desk in desks:
            market = desk.market
            environment = market.venue.environment(self.rest.port, self.redis_url, 0)
            for name in ("LUNO_STREAM_URL", "BINANCE_STREAM_URL"):
                environment[name] = f"ws://127.0.0.1:{self.streams.port}"
            environment["BINANCE_WS_API_URL"] = f"ws://127.0.0.1:{self.streams.port}/ws-api/v3"
            given = {**environment, **market.key, **SMALL_WAITS}
            own[market.venue.module] = given
        for module, environment in own.items():
            self.services[module] = await stack.enter_async_context(
                running(module, {**environment, **debug}, self.folder)
            )
        for name in own:
            await eventually(lambda name=name: "health_served" in self.log(name), TIMELY)  # type: ignore[misc]
        return desks

    def rest_goes_to(self, port: int) -> None:
        """From now on the connectors' requests go there; connections that are open are cut."""
        self.rest.target_port = port
        self.rest.hang_up()

    def streams_go_to(self, port: int) -> None:
        """The same for their sockets."""
        self.streams.target_port = port
        self.streams.hang_up()


@asynccontextmanager
async def guarded(server: RedisServer, password: str) -> AsyncIterator[Redis]:
    """A client of a Redis that now wants a password."""
    async with open_redis(server.url, "test") as open_door:
        await open_door.config_set("requirepass", password)
    client = Redis(port=server.port, password=password)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def stage(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Stage]:
    """The simulator with our keys, and the proxies; no other service runs yet."""
    canaries = Canaries()
    port = quiet_port()
    simulator = {
        "SIMULATOR_PORT": str(port),
        "SIMULATOR_SYMBOLS": ",".join((*BINANCE.symbols, *LUNO.symbols)),
        "SIMULATOR_BOOK_ORDERS": "200",
        "SIMULATOR_RATE": "20",
        "SIMULATOR_BINANCE_API_KEY": canaries.binance_key,
        "SIMULATOR_BINANCE_API_SECRET": canaries.binance_secret,
        "SIMULATOR_LUNO_API_KEY_ID": canaries.luno_key_id,
        "SIMULATOR_LUNO_API_SECRET_KEY": canaries.luno_secret,
        "LOG_LEVEL": "debug",
        "HEALTH_PORT": "0",
    }
    url = f"redis://:{canaries.redis_auth}@127.0.0.1:{redis_server.port}/0"
    async with (
        fault_proxy(port) as rest,
        fault_proxy(port) as streams,
        echo_venue() as echo,
        running("exchange_simulator", simulator, tmp_path) as service,
    ):
        stage = Stage(canaries, tmp_path, url, redis_server, rest, streams, port, echo)
        stage.services["exchange_simulator"] = service
        await eventually(lambda: "simulator_ready" in stage.log("exchange_simulator"), TIMELY)
        yield stage


async def test_no_secret_is_seen_anywhere(
    stage: Stage, capfd: pytest.CaptureFixture[str], attempt: Attempts
) -> None:
    """Orders, wrong keys, venues that say back what they were sent, cut sockets, refusals."""
    async with (
        guarded(stage.server, stage.canaries.redis_password) as redis,
        AsyncExitStack() as stack,
    ):
        desks = await stage.start(stack, redis)
        await trade(stage, desks)
        await use_tradectl(stage)
        await let_venues_fail(stage, desks)
        await let_redis_refuse(stage)
        await eventually(lambda: "a strategy's own fault" in stage.log("bot"), TIMELY)
        await let_keys_be_refused(stage, desks)
        await start_badly(stage)
        await stage.look("at the end")
        await read_redis(stage, redis)
    for name in stage.services:
        stage.see(f"log of {name}", stage.log(name))
    out, err = capfd.readouterr()
    stage.see("what was printed", out + err)
    assert stage.canaries.binance_key in stage.echo.heard, "nothing was said back"
    assert any(REDACTED in text for _, text in stage.seen), "nothing had to be hidden"
    leaks = {where: found for where, text in stage.seen if (found := stage.canaries.found_in(text))}
    for secret in stage.canaries.__dataclass_fields__:
        succeeded = any(secret in found for found in leaks.values())
        attempt("reader of logs, pages, Redis and tradectl output", "find a key", succeeded)
    assert leaks == {}
    assert [where for where, text in stage.seen if SIGNED.search(text)] == []


def test_a_canary_is_found_in_part_and_in_other_forms() -> None:
    """The test above could fail."""
    canaries = Canaries()
    secret = canaries.luno_secret
    for text in (secret, secret[:15], secret.encode().hex(), json.dumps([secret])):
        assert canaries.found_in(f"before {text} after") == ["luno_secret"]
    assert canaries.found_in(canaries.redis_auth) == ["redis_password"]
    assert canaries.found_in("redis_password luno_secret") == []


async def trade(stage: Stage, desks: list[TradingDesk]) -> None:
    """What works: an order, a cancel, a query, and balances, at both."""
    for desk in desks:
        await eventually_async(lambda desk=desk: _says(stage, desk.name, '"ready": true'), TIMELY)  # type: ignore[misc]
        client_order_id = await desk.order(price=await desk.far_below())
        answer = await desk.response(client_order_id)
        assert answer.status == "accepted", answer
        own = {"symbol": desk.market.symbol, "client_order_id": client_order_id}
        assert (await desk.request("query_order", **own)).status == "done"
        assert (await desk.request("cancel_order", **own)).status == "done"
        assert (await desk.request("request_balance")).status == "done"
    await stage.look("while all is well")


async def let_venues_fail(stage: Stage, desks: list[TradingDesk]) -> None:
    """Orders fail in every way, then all of REST, then the sockets too; commands come meanwhile."""
    stage.rest_goes_to(stage.echo.port)
    for status, code, kind in FAILURES:
        stage.echo.status, stage.echo.code, stage.echo.kind = status, code, kind
        stage.echo.behind = f"http://127.0.0.1:{stage.simulator_port}"
        await gather_all(*map(order_in_vain, desks))
        stage.echo.behind = ""
        await gather_all(*(ask_in_vain(stage, desk) for desk in desks))
        await stage.look(f"after {status} {code} {kind}")
    stage.echo.status, stage.echo.code, stage.echo.kind = 400, -1100, "application/json"
    before = stage.echo.requests
    stage.streams_go_to(stage.echo.port)
    await eventually(lambda: stage.echo.requests > before + 8, TIMELY)
    await stage.look("while the sockets fail")
    stage.rest_goes_to(stage.simulator_port)
    stage.streams_go_to(stage.simulator_port)


async def books_live(desk: TradingDesk) -> None:
    """Wait until the connector says that all its feeds are live: only then orders leave."""

    async def live() -> bool:
        redis: Any = desk.redis
        entries = await redis.xrevrange(f"{desk.name}:events:connector_status", count=1)
        status = json.loads(entries[0][1][b"data"])
        return all(symbol["state"] == "live" for symbol in status["symbols"])

    await eventually_async(live, within=TIMELY)


async def order_in_vain(desk: TradingDesk) -> None:
    """An order that the venue answers with what it was sent; the answer tells why."""
    await books_live(desk)
    client_order_id = await desk.order(price=await desk.far_below())

    async def answered() -> bool:
        return bool(await desk.responses(client_order_id))

    await eventually_async(answered, within=TIMELY)


async def ask_in_vain(stage: Stage, desk: TradingDesk) -> None:
    """Questions and cancels; wait until they were tried."""
    before = stage.echo.requests
    own = {"symbol": desk.market.symbol, "client_order_id": "nobody-knows-it"}
    await desk.send("query_order", own)
    await desk.send("cancel_order", own)
    await desk.send("request_balance", {})
    await eventually(lambda: stage.echo.requests > before + 4, TIMELY)


async def let_redis_refuse(stage: Stage) -> None:
    """The password isn't right any more, and then it is."""
    right = stage.canaries.redis_password
    port = stage.server.port
    async with Redis(port=port, password=right) as admin:
        await admin.config_set("requirepass", "another-one")
        await admin.client_kill_filter(_type="normal", skipme=False)
    for name in ("bot", "indicators", "binance_connector", "luno_connector"):
        await eventually(lambda name=name: "refused the password" in stage.log(name), TIMELY)  # type: ignore[misc]
    await stage.look("while Redis refuses")
    async with Redis(port=port, password="another-one") as admin:
        await admin.config_set("requirepass", right)
    for name in ("binance_connector", "luno_connector"):
        await eventually_async(lambda name=name: _says(stage, name, '"redis": "ok"'), TIMELY)  # type: ignore[misc]


async def _says(stage: Stage, name: str, words: str) -> bool:
    return words in await stage.page(name, "/ready")


async def let_keys_be_refused(stage: Stage, desks: list[TradingDesk]) -> None:
    """For good: these parts stop, and say why."""
    stage.echo.status, stage.echo.code, stage.echo.kind = 401, -2015, "application/json"
    stage.rest_goes_to(stage.echo.port)
    stage.streams_go_to(stage.echo.port)
    for desk in desks:
        await desk.send("request_balance", {})
    for desk in desks:
        await desk.event("command_response", lambda each: each.reason_code == "key_refused")
    await stage.look("while the keys are refused")


async def start_badly(stage: Stage) -> None:
    """Settings that can't be used, in all the ways in which a secret might get into the words."""
    canaries, port = stage.canaries, stage.server.port
    binance = {
        "BINANCE_API_KEY": canaries.binance_key,
        "BINANCE_API_SECRET": canaries.binance_secret,
        "BINANCE_REST_URL": f"http://127.0.0.1:{stage.echo.port}/api",
        "REDIS_URL": stage.redis_url,
    }
    luno = {
        "LUNO_API_KEY_ID": canaries.luno_key_id,
        "LUNO_API_SECRET_KEY": canaries.luno_secret,
        "LUNO_REST_URL": f"http://127.0.0.1:{stage.echo.port}",
        "REDIS_URL": stage.redis_url,
    }
    password = canaries.redis_password
    bad_urls = (
        f"redis://:{password}@127.0.0.1:{port}/0",
        f"redis://:{canaries.redis_auth}@127.0.0.1:port/0",
        f"redis://127.0.0.1:{port}/0?password={canaries.redis_auth}",
        f"{canaries.redis_auth}",
    )
    starts: list[tuple[str, Mapping[str, str]]] = [
        ("binance_connector", {**binance, "BINANCE_API_SECRET": ""}),
        ("luno_connector", {**luno, "LUNO_API_KEY_ID": ""}),
        ("binance_connector", {**binance, "HEALTH_PORT": "none", "BINANCE_SYMBOLS": "BTC"}),
        (
            "binance_connector",
            {**binance, "BINANCE_API_SECRET": "", "BINANCE_API_SECRET_FILE": "/"},
        ),
        *(("bot", {"REDIS_URL": url}) for url in bad_urls),
    ]
    for module, environment in starts:
        assert await _ended(stage, module, environment) == 1
    # These would wait for ever: the venue says back what it was sent, or the key can't be sent.
    for module, given in (("binance_connector", binance), ("luno_connector", luno)):
        for odd in ("", "\u20ac"):
            keys = {name: f"{value}{odd}" for name, value in given.items() if "_API_" in name}
            await _ended(stage, module, {**given, **keys}, until="start_waits")


async def _ended(
    stage: Stage, module: str, environment: Mapping[str, str], until: str | None = None
) -> int:
    """Start a service; how it ended, by itself or once its log says *until*."""
    folder = stage.folder / f"bad-{len(list(stage.folder.glob('bad-*')))}"
    given = {"LOG_LEVEL": "debug", "HEALTH_PORT": "0", **environment}
    async with running(module, given, folder) as service:
        await eventually(
            lambda: service.exited or bool(until and until in service.log.read_text()), TIMELY
        )
        code = await service.end()
    stage.see(f"a bad start of {module}", service.log.read_text())
    return code


async def use_tradectl(stage: Stage) -> None:
    """The hand tool, with the right password, a wrong one, and a URL that is none."""
    good = {
        "REDIS_URL": stage.redis_url,
        "BINANCE_API_KEY": stage.canaries.binance_key,
        "BINANCE_API_SECRET": stage.canaries.binance_secret,
    }
    wrong = {"REDIS_URL": stage.redis_url.replace(stage.canaries.redis_auth[:4], "XXXX")}
    none = {"REDIS_URL": f"redis//{stage.canaries.redis_auth}"}
    price = ("--price", "60000", "--id", "by-hand")
    for arguments, environment in (
        (("doctor",), good),
        (("status",), good),
        (("place", "binance", "buy", "BTC/USDT", "0.001", *price), good),
        (("why", "by-hand"), good),
        (("balances",), good),
        (("doctor",), wrong),
        (("status",), wrong),
        (("status",), none),
    ):
        await _run_tradectl(stage, arguments, environment)


async def _run_tradectl(
    stage: Stage, arguments: tuple[str, ...], environment: Mapping[str, str]
) -> None:
    inherited = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.tradectl", *arguments),
        cwd=stage.folder,
        env={**inherited, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stage.see("tradectl's command line", Path(f"/proc/{process.pid}/cmdline").read_text())
    async with asyncio.timeout(TIMELY):
        out, err = await process.communicate()
    stage.see(f"tradectl {' '.join(arguments)}", (out + err).decode())


async def read_redis(stage: Stage, redis: Any) -> None:
    """Every key with all that it holds, and who is connected."""
    stage.see("CLIENT LIST", str(await redis.client_list()))
    reads = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"stream": redis.xrange,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    count = 0
    async for key in redis.scan_iter(count=1000):
        kind = await redis.type(key)
        if kind == b"none":  # it has just expired
            continue
        stage.see(f"Redis key {key.decode()}", f"{key!r} {await reads[kind](key)!r}")
        count += 1
    assert count > 20
