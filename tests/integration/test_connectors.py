"""Both connectors as processes, on a real Redis, against the simulator as a process."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from common_models import ConnectorStatusEvent, InstrumentInfo, OrderBook
from common_models.stream_names import EventStream, MarketStream, connector, state_key
from services._local.redis_server import RedisServer
from tests.support.eventually import eventually, eventually_async
from tests.support.market_data.recorder import recording
from tests.support.metrics import page, shows
from tests.support.ports import quiet_port
from tests.support.processes import Service, running
from tests.support.venues.simulated import (
    BINANCE,
    LUNO,
    LUNO_WITHOUT_KEY,
    VENUES,
    Venue,
    all_move_on,
    is_ready,
    newest,
    published,
    report,
    simulator,
    trade_ids,
)

FLOWS_AGAIN_WITHIN = 10.0
KEY_NAMED = "check LUNO_API_KEY_ID and LUNO_API_SECRET_KEY"

every_venue = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)


@dataclass
class Running:
    """One connector at work, and the port of the simulator it works on."""

    service: Service
    health_port: int
    simulator_port: int


async def reasons_told(redis: Any, venue: Venue) -> dict[str, str | None]:
    """The reason of each symbol's state, as the connector told it last."""
    stream = str(EventStream(connector(venue.exchange), "connector_status"))
    ((_, fields),) = await redis.xrevrange(stream, count=1)
    event = ConnectorStatusEvent.model_validate_json(fields[b"data"])
    return {status.symbol: status.reason for status in event.symbols}


@asynccontextmanager
async def connected(
    venue: Venue, redis_url: str, folder: Path, port: int, **more: str
) -> AsyncIterator[Running]:
    """The connector of *venue* as a process; nothing is waited for."""
    health_port = quiet_port()
    environment = {**venue.environment(port, redis_url, health_port), **more}
    async with running(venue.module, environment, folder) as service:
        yield Running(service, health_port, port)


async def alive(run: Running, part: str) -> str:
    """Wait until it lives, isn't ready and names *part*; why."""

    async def waits() -> bool:
        status, body = await report(run.health_port)
        return status == 503 and body["parts"].get(part, "ok") not in ("ok", "starting")

    await eventually_async(waits)
    assert (await report(run.health_port, "/health"))[0] == 200
    assert not run.service.exited
    reason: str = (await report(run.health_port))[1]["parts"][part]
    return reason


async def flows_again(redis: Redis, venue: Venue, since: dict[str, bytes]) -> float:
    """Wait until every stream moves on; how many seconds that took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    await eventually_async(lambda: all_move_on(redis, venue, since), within=30.0)
    return loop.time() - started


def assert_never_crossed(books: list[OrderBook]) -> None:
    """Best bid below best ask, bids falling, asks rising."""
    for book in books:
        bids = [level.price for level in book.bids]
        asks = [level.price for level in book.asks]
        assert all(a > b for a, b in pairwise(bids))
        assert all(a < b for a, b in pairwise(asks))
        assert not (bids and asks) or bids[0] < asks[0]


@every_venue
async def test_every_book_is_true_and_every_trade_there_across_the_venues_death(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Killed and started again, it flows within 10 s; and no book was ever one it never held."""
    port = quiet_port()
    async with recording(venue.exchange, port, venue.symbols) as records:
        async with simulator(port, tmp_path / "1") as first:
            await eventually(lambda: all(r.sessions == 1 for r in records.values()))
            async with connected(venue, redis_server.url, tmp_path, port) as run:
                await flows_again(redis, venue, {})
                await flows_again(redis, venue, await newest(redis, venue.streams))
                await first.end(signal.SIGKILL)
                assert await alive(run, f"feed {venue.symbols[0]}")
                before = await newest(redis, venue.streams)
                killed_at = {s: len(await trade_ids(redis, venue, s)) for s in venue.symbols}
                async with simulator(port, tmp_path / "2"):
                    assert await flows_again(redis, venue, before) < FLOWS_AGAIN_WITHIN
                    await eventually(lambda: all(r.sessions == 2 for r in records.values()))
                    await flows_again(redis, venue, await newest(redis, venue.streams))
                    await eventually_async(lambda: is_ready(run.health_port))
                    assert await run.service.end() == 0
        for symbol in venue.symbols:
            books = await published(redis, MarketStream.of(venue.exchange, symbol, "orderbook"))
            assert_never_crossed(books)
            # Binance's diffs come each 100 ms; the first book after a join may lie between two.
            joins = 2 if venue is BINANCE else 0
            assert len(records[symbol].unknown(books)) <= joins
            assert len(books) > 10 or venue is LUNO_WITHOUT_KEY
            ids = await trade_ids(redis, venue, symbol)
            for part in (ids[: killed_at[symbol]], ids[killed_at[symbol] :]):
                assert part == list(range(part[0], part[0] + len(part)))


@pytest.mark.parametrize("venue", [BINANCE, LUNO], ids=lambda venue: venue.name)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "empty"])
async def test_a_redis_that_dies_gets_everything_that_it_missed(
    venue: Venue, kept: bool, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Killed, and started again with its data or without: no trade is missing or repeated."""
    port = quiet_port()
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(venue, redis_server.url, tmp_path, port) as run,
    ):
        await flows_again(redis, venue, {})
        await redis_server.kill()
        assert "Redis" in await alive(run, "redis")
        if not kept:
            rmtree(redis_server.data_dir)
        await redis_server.start()
        before = await newest(redis, venue.streams) if kept else {}
        assert await flows_again(redis, venue, before) < FLOWS_AGAIN_WITHIN
        await flows_again(redis, venue, await newest(redis, venue.streams))
        await eventually_async(lambda: is_ready(run.health_port))
        assert await run.service.end() == 0
    for symbol in venue.symbols:
        ids = await trade_ids(redis, venue, symbol)
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert_never_crossed(
            await published(redis, MarketStream.of(venue.exchange, symbol, "orderbook"))
        )
    world = await redis.get(state_key(connector(venue.exchange), "world"))
    assert world == b"simulator"


@every_venue
async def test_a_connector_follows_a_venue_that_restarts_its_ids(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """A testnet that was reset, twice: while the connector runs, and while it doesn't."""
    port = quiet_port()

    @asynccontextmanager
    async def life(number: int, first_id: int) -> AsyncIterator[None]:
        folder = tmp_path / f"simulator-{number}"
        async with simulator(port, folder, SIMULATOR_FIRST_ID=str(first_id), SIMULATOR_RATE="60"):
            yield

    async def until_it_follows(first_id: int, end: int) -> None:
        async def follows() -> bool:
            newest_of = [t for s in venue.symbols if (t := await trade_ids(redis, venue, s))]
            ours = [ids[-1] for ids in newest_of]
            return len(ours) == len(venue.symbols) and all(first_id <= n < end for n in ours)

        await eventually_async(follows, within=40.0)

    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    async with connected(venue, redis_server.url, tmp_path / "first", port) as run:
        async with life(1, 5_000_000):
            await until_it_follows(5_000_000, 9_000_000)
        async with life(2, 100_000):
            await until_it_follows(100_000, 5_000_000)
            await eventually_async(lambda: is_ready(run.health_port))
            reasons = await reasons_told(redis, venue)
            assert "venue_ids_restarted" in (reasons[venue.symbols[0]] or "").split("; ")
            assert await run.service.end() == 0
    assert run.service.log.read_text().count('"venue_ids_restarted"') == len(venue.symbols)
    async with life(3, 1000), connected(venue, redis_server.url, tmp_path / "second", port):
        await until_it_follows(1000, 100_000)
    if venue is not LUNO_WITHOUT_KEY:  # polling has a page of history, no more
        ids = await trade_ids(redis, venue, venue.symbols[0])
        assert sum(after != before + 1 for before, after in pairwise(ids)) == 2


@every_venue
async def test_without_redis_it_lives_says_so_and_recovers(venue: Venue, tmp_path: Path) -> None:
    """Start order doesn't matter."""
    server = RedisServer(tmp_path / "redis", quiet_port())
    port = quiet_port()
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(venue, server.url, tmp_path, port) as run,
    ):
        assert "Redis can't be reached" in await alive(run, "redis")
        await server.start()
        try:
            await eventually_async(lambda: is_ready(run.health_port))
        finally:
            await server.stop()


@every_venue
async def test_without_a_venue_it_lives_says_so_and_recovers(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Start order doesn't matter."""
    port = quiet_port()
    async with connected(venue, redis_server.url, tmp_path, port) as run:
        assert "no answer from" in await alive(run, "exchange")
        async with simulator(port, tmp_path / "simulator"):
            await eventually_async(lambda: is_ready(run.health_port))
            await flows_again(redis, venue, {})


@every_venue
async def test_an_unknown_symbol_ends_it_with_the_nearest_names(
    venue: Venue, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Exit 1, once the venue has answered."""
    port = quiet_port()
    typo = venue.symbols[1].replace("ETH", "ETHX")
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(venue, redis_server.url, tmp_path, port, **{venue.setting: typo}) as run,
    ):
        assert await asyncio.wait_for(run.service.process.wait(), 20.0) == 1
    last = run.service.log.read_text().splitlines()[-1]
    assert f"{venue.setting}: '{typo}' isn't listed; did you mean {venue.symbols[1]}" in last


@every_venue
async def test_a_redis_url_that_cannot_be_parsed_ends_it_with_one_line(
    venue: Venue, tmp_path: Path
) -> None:
    """Exit 1, and no traceback."""
    async with connected(venue, "redis:/nowhere", tmp_path, quiet_port()) as run:
        assert await asyncio.wait_for(run.service.process.wait(), 20.0) == 1
    (line,) = run.service.log.read_text().splitlines()
    assert line.startswith(f"{venue.module}: settings: REDIS_URL: ")


@every_venue
async def test_a_redis_of_another_world_is_left_alone(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Exit 1 with the reason; nothing was written."""
    key = state_key(connector(venue.exchange), "world")
    await redis.set(key, "live")
    port = quiet_port()
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(venue, redis_server.url, tmp_path, port) as run,
    ):
        assert await asyncio.wait_for(run.service.process.wait(), 20.0) == 1
    last = run.service.log.read_text().splitlines()[-1]
    assert "this Redis holds live data and this connector is for simulator" in last
    assert await redis.get(key) == b"live"
    assert await newest(redis, venue.streams) == {}
    assert await redis.keys(f"{venue.module}:state:*") == [key.encode()]


# Lot, smallest quantity and smallest order of the first symbol, as the simulator demands them.
BOUNDS = {"binance": (0.00001, 0.00001, 5.0), "luno": (0.000001, 0.0001, 0.0)}


@every_venue
async def test_the_lots_and_bounds_of_each_symbol_can_be_read(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """In a hash, with a key or without."""
    key = state_key(connector(venue.exchange), "instruments")
    port = quiet_port()
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(venue, redis_server.url, tmp_path, port),
    ):
        await eventually_async(lambda: redis.exists(key))
        told: Any = await redis.hgetall(key)
    assert {name.decode() for name in told} == set(venue.symbols)
    first = InstrumentInfo.model_validate_json(told[venue.symbols[0].encode()])
    assert (first.lot, first.min_quantity, first.min_notional) == BOUNDS[venue.exchange]
    assert first.trading


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_luno_stops_in_time_with_a_request_in_flight(
    number: signal.Signals, redis_server: RedisServer, tmp_path: Path
) -> None:
    """A request in a thread can't be cancelled; the stop comes within 5 s all the same."""
    asked = asyncio.Event()
    over = asyncio.Event()

    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connected(LUNO, redis_server.url, tmp_path, port) as run:
        await asyncio.wait_for(asked.wait(), 20.0)
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await run.service.end(number) == 0
        assert loop.time() - started < 5.0
        over.set()


async def test_luno_with_a_wrong_key_says_so_and_lives(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """`/ready` says which variables to look at; the process goes on."""
    port = quiet_port()
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(
            LUNO, redis_server.url, tmp_path, port, LUNO_API_SECRET_KEY="not-the-secret"
        ) as run,
    ):
        await alive(run, "feed XBT/ZAR")
        await eventually_async(lambda: _ready_names_the_key(run))
        await eventually_async(lambda: _status_names_the_key(redis))
        assert "not-the-secret" not in run.service.log.read_text()
        assert not run.service.exited
        assert await run.service.end() == 0


@pytest.mark.parametrize("venue", [BINANCE, LUNO], ids=lambda venue: venue.name)
async def test_a_cut_socket_and_a_redis_that_is_away_show_on_its_page(
    venue: Venue, redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    """Connections, resyncs, and how full the buffer is; and that it is well again."""
    port, symbol = quiet_port(), venue.symbols[0]
    async with (
        simulator(port, tmp_path / "simulator"),
        connected(venue, redis_server.url, tmp_path, port) as run,
    ):
        await flows_again(redis, venue, {})
        before = await page(run.health_port)
        assert before["feed_live", symbol] == 1
        assert before["feed_stale_seconds", symbol] == before["feed_resyncs_total", symbol] == 0
        assert 0 < before["venue_messages_total", "market"] < before["venue_bytes_total", "market"]
        assert -5 < before["venue_lag_seconds", symbol] < 20
        assert before["redis_fit",] == 1
        assert 0 < before["redis_memory_used_bytes",] < 1 << 30

        opened = before["venue_connections_total", "market"]
        assert opened == (1 if venue is BINANCE else len(venue.symbols))
        await cut_market_sockets(venue, port)
        await shows(run.health_port, "feed_resyncs_total", symbol, is_=lambda n: n >= 1)
        after = await shows(run.health_port, "feed_live", symbol, is_=lambda n: n == 1)
        assert after["venue_connections_total", "market"] > opened

        await redis_server.kill()
        away = await shows(run.health_port, "writer_waiting_bytes", is_=lambda n: n > 0)
        assert away["writer_waiting_bytes",] < away["writer_buffer_bytes",]
        assert away["part_ready", "redis"] == 0
        await redis_server.start()
        again = await shows(run.health_port, "redis_connections_total", is_=lambda n: n > 1)
        assert again["stream_entries_written_total",] > before["stream_entries_written_total",]
        assert again["stream_bytes_written_total",] > before["stream_bytes_written_total",]
        await shows(run.health_port, "writer_waiting_bytes", is_=lambda n: n == 0)


async def cut_market_sockets(venue: Venue, simulator_port: int) -> None:
    """The venue breaks every market socket off."""
    order = {"venue": venue.exchange, "endpoint": "market_stream", "action": "disconnect"}
    url = f"http://127.0.0.1:{simulator_port}/simulator/sessions"
    async with aiohttp.ClientSession() as session, session.post(url, json=order) as response:
        assert (await response.json())["sessions"] > 0


async def _status_names_the_key(redis: Redis) -> bool:
    """True when `connector_status` says why there is no data and why no orders are taken."""
    stream = str(EventStream(connector("luno"), "connector_status"))
    entries: Any = await redis.xrevrange(stream, count=1)
    event = ConnectorStatusEvent.model_validate_json(entries[0][1][b"data"])
    return (event.trading, event.reason_code) == (False, "key_refused") and all(
        status.state == "stale" and KEY_NAMED in str(status.reason) for status in event.symbols
    )


async def _ready_names_the_key(run: Running) -> bool:
    parts = (await report(run.health_port))[1]["parts"]
    return all(KEY_NAMED in parts[f"feed {symbol}"] for symbol in LUNO.symbols)
