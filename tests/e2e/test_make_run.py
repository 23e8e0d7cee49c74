"""`make run`, end to end: real processes, a real Redis, both simulated exchanges."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common_models import IndicatorValue, OrderBook, Ticker, Trade
from common_models.stream_names import MARKET_DATA_TYPES
from services._local.ports import Ports
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services._runtime.running_suites import find_running_suites
from tests.e2e.conftest import children_of, environment_of, launched
from tests.support.eventually import eventually, eventually_async
from tests.support.ports import quiet_port
from tests.support.processes import ROOT
from tests.support.venues.simulated import BINANCE, LUNO, all_move_on, newest, simulator

MODELS: dict[str, type[BaseModel]] = {"ticker": Ticker, "orderbook": OrderBook, "trades": Trade}
INDICATORS = [
    f"indicators:{name}:{pair}"
    for name in ("rsi_14", "sma_20", "sma_50")
    for pair in ("binance:BTCUSDT", "binance:ETHUSDT", "luno:XBTZAR", "luno:ETHZAR")
]
MARKETS = ("binance:BTCUSDT", "binance:ETHUSDT", "luno:XBTZAR", "luno:ETHZAR")
STREAMS = [f"{market}:{data_type}" for market in MARKETS for data_type in MARKET_DATA_TYPES]
PARTS = {"bot", "indicators", "binance_connector", "luno_connector", "exchange_simulator"}

BROKEN = """from services.bot.strategy import Strategy


class Broken(Strategy):
    def __init__(self, market):
        raise ValueError("no such luck")
"""

pytestmark = pytest.mark.timeout(180)


async def messages(redis: Redis, stream: str) -> list[BaseModel]:
    """All that a stream holds, validated; each entry has the one field `data`."""
    model = MODELS.get(stream.rpartition(":")[2], IndicatorValue)
    found = []
    for _, fields in await redis.xrange(stream) or []:
        assert fields is not None
        assert list(fields) == [b"data"]
        found.append(model.model_validate_json(fields[b"data"]))
    return found


async def test_all_market_streams_fill_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    """Every entry validates, the bot sees all of it, no key of `.env` gets in, nothing is left."""
    async with launched(tmp_path, LIVE_TRADING="yes-i-mean-it") as run:
        await run.until_ready()
        assert run.children.keys() > PARTS
        for part in PARTS:
            given = environment_of(run.children[part])
            assert given["BINANCE_API_KEY"] == given["LUNO_API_KEY_ID"] == "simulator-key"
            assert "LIVE_TRADING" not in given
        (noted,) = find_running_suites(tmp_path / ".data")
        assert noted.redis_url == f"redis://127.0.0.1:{run.redis_port}/0"
        assert noted.health_urls.keys() == PARTS
        async with Redis(port=run.redis_port) as redis:

            async def all_flow() -> bool:
                names = (*STREAMS, *INDICATORS)
                return all([len(await redis.xrange(s, count=3) or []) == 3 for s in names])

            await eventually_async(all_flow, within=60)
            for stream in (*STREAMS, *INDICATORS):
                assert await messages(redis, stream)
        assert await run.end(signal.SIGINT) == 0
        assert run.left == {}
    assert "12 of 12 market streams are fresh" in run.out
    assert "STALE" not in run.out
    assert run.err == ""


async def test_it_stops_by_itself_steps_over_taken_ports_and_uses_the_redis_it_is_given(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """RUN_SECONDS count from being ready; other variables are passed through."""
    with Ports() as claims, socket.socket() as other:
        with suppress(AssertionError):  # whoever has it keeps it
            await eventually(lambda: takes(other, claims, 8000), within=20.0)
        async with launched(
            tmp_path,
            RUN_SECONDS="1",
            REDIS_URL=redis_server.url,
            BINANCE_SYMBOLS="ETH/USDT",
            MARKET_DATA_MAXLEN="100",
        ) as run:
            await run.until_ready()
            maxlen = environment_of(run.children["luno_connector"])["MARKET_DATA_MAXLEN"]
            assert await run.end() == 0
    assert maxlen == "100"
    assert "Port 8000 is in use: the bot uses 80" in run.out
    assert '"$REDIS_URL" XREAD COUNT 5 BLOCK 5000 STREAMS binance:ETHUSDT:trades' in run.out
    assert run.left == {}
    assert run.children.keys() == PARTS
    assert await messages(redis, "binance:ETHUSDT:orderbook")


async def test_one_taken_port_moves_one_service(tmp_path: Path) -> None:
    """To where nobody else belongs; where it went is printed, and is in the run's file."""
    wanted = {
        "bot": ("the bot", 8000),
        "binance_connector": ("the Binance connector", 8001),
        "luno_connector": ("the Luno connector", 8002),
        "indicators": ("the indicator host", 8003),
        "exchange_simulator": ("the simulator's health", 8010),
    }
    with Ports() as claims, socket.socket() as other:
        with suppress(AssertionError):  # whoever has it keeps it
            await eventually(lambda: takes(other, claims, 8001), within=20.0)
        async with launched(tmp_path) as run:
            await run.until_ready()
            (noted,) = find_running_suites(tmp_path / ".data")
            assert await run.end(signal.SIGINT) == 0
    ports = {name: int(url.rpartition(":")[2]) for name, url in noted.health_urls.items()}
    moved = {name for name, port in ports.items() if port != wanted[name][1]}
    assert "binance_connector" in moved
    assert not {ports[name] for name in moved} & {port for _, port in wanted.values()}
    for name, (whose, port) in wanted.items():
        said = f"Port {port} is in use: {whose} uses {ports[name]}."
        assert (said in run.out) is (name in moved)
        assert f"http://127.0.0.1:{ports[name]}/ready  {name}" in run.out


def takes(s: socket.socket, claims: Ports, port: int) -> bool:
    """Listen on *port*; False while somebody else does, or another run has chosen it."""
    if not claims._claim(port):
        return False
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", port))
        s.listen()
    except OSError:
        return False
    return True


async def test_suite_toml_is_read_without_keys(tmp_path: Path) -> None:
    """Its markets, strategies and limits; a slip in it is one line that names the file."""
    file = tmp_path / "suite.toml"
    file.write_text(
        'binance_symbols = ["ETH/USDT"]\norder_book_depth = 3\nbinance_api_key = "real"\n'
        'redis_url = "redis://127.0.0.1:1"\nlive_trading = "yes-i-mean-it"\n'
        '[bot]\nstrategies = ["do_nothing:binance:ETH/USDT:0.01"]\n'
    )
    file.chmod(0o644)  # keys that others may read: they aren't taken
    async with launched(tmp_path) as run:
        await run.until_ready()
        async with Redis(port=run.redis_port) as redis:

            async def book() -> bool:
                return bool(await messages(redis, "binance:ETHUSDT:orderbook"))

            await eventually_async(book)
            (first, *_) = await messages(redis, "binance:ETHUSDT:orderbook")
            assert isinstance(first, OrderBook)
            assert len(first.bids) == 3
            assert not await redis.exists("binance:BTCUSDT:orderbook")
        for part in PARTS:
            assert "real" not in environment_of(run.children[part]).values()
        assert environment_of(run.children["bot"])["STRATEGIES"].startswith("do_nothing:")
        assert await run.end(signal.SIGINT) == 0
    file.write_text("[luno_connector]\norder_book_depht = 3\n")
    async with launched(tmp_path) as run:
        assert await run.end() == 1
    assert f"{file}: [luno_connector] order_book_depht: luno_connector has no such" in run.err
    assert "did you mean order_book_depth?" in run.err


async def test_on_real_markets_it_has_no_keys_and_sends_no_order(tmp_path: Path) -> None:
    """`make live`: the exchanges are where the settings say, and here that is a simulator."""
    port = quiet_port()
    urls = {**BINANCE.environment(port, "", 0), **LUNO.environment(port, "", 0)}
    given = {name: url for name, url in urls.items() if name.endswith("_URL") and url}
    async with (
        simulator(port, tmp_path / "venue"),
        launched(tmp_path, "live", BINANCE_API_KEY="real", LIVE_TRADING="yes", **given) as run,
    ):
        await run.until_ready()
        parts = PARTS - {"exchange_simulator"}
        assert run.children.keys() & PARTS == parts
        for part in parts:
            has = environment_of(run.children[part])
            assert "real" not in has.values()
            assert "LIVE_TRADING" not in has
            assert has["BOT_MODE"] == "observe"
        async with Redis(port=run.redis_port) as client:
            redis: Any = client

            async def all_flow() -> bool:
                return all([await redis.exists(stream) for stream in STREAMS])

            await eventually_async(all_flow, within=60)
            for connector in ("binance_connector", "luno_connector"):
                stream = f"{connector}:events:connector_status"
                ((_, status),) = await redis.xrevrange(stream, count=1)
                assert b'"reason_code":"no_credentials"' in status[b"data"]
        assert await run.end(signal.SIGINT) == 0
    assert "which only observes" in run.out
    assert run.err == ""


@pytest.mark.parametrize("part", ["luno_connector", "bot", "valkey-server"])
async def test_whatever_is_killed_is_started_again(tmp_path: Path, part: str) -> None:
    """Prices go on; nothing else ends."""
    async with launched(tmp_path) as run:
        await run.until_ready()
        before = run.children
        (part,) = [name for name in before if name.startswith(part)]  # a server's has its port
        os.kill(before[part], signal.SIGKILL)
        name = "Redis" if part.startswith("valkey") else part
        await eventually(lambda: f"{name} was killed by SIGKILL: restarting it" in run.out)
        await eventually(
            lambda: children_of(run.process.pid).get(part, before[part]) != before[part]
        )
        async with open_redis(f"redis://127.0.0.1:{run.redis_port}/0", "test") as redis:
            since: dict[str, bytes] = {}

            async def seen() -> bool:
                with suppress(RedisError, OSError):
                    since.update(await newest(redis, LUNO.streams))
                return len(since) == len(LUNO.streams)

            await eventually_async(seen, within=60)
            await eventually_async(lambda: all_move_on(redis, LUNO, since), within=60)
        after = children_of(run.process.pid)
        assert {n for n in before if after.get(n) != before[n]} == {part}
        run.children = after
        assert await run.end(signal.SIGINT) == 0
        assert run.left == {}


async def test_a_part_that_cannot_start_says_why_in_its_own_words(tmp_path: Path) -> None:
    """An unknown symbol is the connector's to explain."""
    async with launched(tmp_path, BINANCE_SYMBOLS="BTC/USTD") as run:
        assert await run.end() == 1
    assert "binance_connector ended with exit code 1: BINANCE_SYMBOLS" in run.err
    assert "BTC/USTD" in run.err


async def test_one_plugins_bug_stops_nothing_else(tmp_path: Path) -> None:
    """A strategy that can't be made: the terminal says where, and the run begins.

    One that asks for more than the limits allow is warned of.
    """
    (tmp_path / "broken.py").write_text(BROKEN)
    strategies = "broken.Broken:binance:BTC/USDT:0.001,do_nothing:binance:BTC/USDT:5"
    async with launched(tmp_path, PYTHONPATH=str(tmp_path), STRATEGIES=strategies) as run:
        await run.until_ready()
        assert await run.end(signal.SIGINT) == 0
    assert "bot: error: strategy_stopped strategy=broken.Broken:binance:BTC/USDT" in run.out
    assert "strategy_exceeds_limits strategy=do_nothing:binance:BTC/USDT" in run.out
    assert f"ValueError: no such luck, at {tmp_path / 'broken.py'}:6; full traceback: " in run.out


async def test_a_redis_that_is_unfit_ends_the_run_at_once_with_the_remedy(
    tmp_path: Path, redis_server: RedisServer, redis: Redis
) -> None:
    """It doesn't become fit by waiting."""
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    async with launched(tmp_path, REDIS_URL=redis_server.url) as run:
        assert await run.end() == 1
    assert "can't work: redis_settings: a full Redis may evict orders" in run.err
    assert "CONFIG SET maxmemory-policy noeviction" in run.err


async def test_on_a_terminal_it_shows_tables_and_sums_up_at_the_end(
    tmp_path: Path,
) -> None:
    """Markets with their state and the time; Ctrl-C ends it."""
    master, terminal = os.openpty()
    variables = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services._local"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **variables},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    os.set_blocking(master, False)
    seen = b""

    def reads(*wanted: bytes) -> bool:
        nonlocal seen
        with suppress(BlockingIOError, OSError):  # nothing is there, or everybody has gone
            seen += os.read(master, 1 << 20)
        return all(each in seen for each in wanted)

    try:
        await eventually(lambda: reads(b"Ready after", b"luno XBT/ZAR", b"live", b" UTC"), 90.0)
        process.send_signal(signal.SIGINT)
        await eventually(lambda: reads(b"Stopping.", b"Ran for "))
        await eventually(lambda: reads() and process.returncode is not None, 30.0)
        assert process.returncode == 0
        assert b"Traceback" not in seen
        assert b"market streams are fresh" not in seen
    finally:
        os.close(master)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_folder_that_cant_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """A file stands where the run's data shall lie."""
    (tmp_path / ".data").write_text("mine")
    async with launched(tmp_path) as run:
        assert await run.end() == 1
    assert run.err.startswith("make run: ")
    assert ".data" in run.err
    assert len(run.err.splitlines()) == 1


async def test_nothing_outlives_a_killed_launcher(tmp_path: Path) -> None:
    """Not even when it had no chance to stop anything."""
    async with launched(tmp_path) as run:
        await run.until_ready()
        assert await run.end(signal.SIGKILL) == -signal.SIGKILL
        await eventually(lambda: not run.left)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("RUN_SECONDS", "soon", "make run: RUN_SECONDS='soon': Input should be a valid number"),
        ("REDIS_URL", "nonsense", "make run: REDIS_URL: "),
    ],
)
async def test_a_variable_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, name: str, value: str, error: str
) -> None:
    """Before anything is started."""
    async with launched(tmp_path, **{name: value}) as run:
        assert await run.end() == 1
    assert run.err.startswith(error)
    assert run.err.count("\n") == 1
    assert run.out == ""
