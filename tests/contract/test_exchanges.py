"""What every connector must do with its venue: one suite, both exchanges, a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import ConnectorStatusEvent
from common_models.stream_names import MARKET_DATA_TYPES, EventStream, MarketStream
from services._connector_kit.engine import Engine
from services._connector_kit.errors import FatalError
from services._connector_kit.orders.settings import TradingSettings
from services._connector_kit.protocol import Exchange
from services._local.redis_server import RedisServer
from services._runtime.health import Readiness
from services._runtime.metrics import Metrics
from services.binance_connector.client import open_binance
from services.binance_connector.settings import BinanceSettings
from services.exchange_simulator.service import Simulator, running_simulator
from services.exchange_simulator.settings import SimulatorSettings
from services.luno_connector.client import open_luno
from services.luno_connector.settings import LunoSettings
from tests.support.eventually import eventually_async
from tests.support.venues.simulated import (
    BINANCE,
    LUNO,
    LUNO_WITHOUT_KEY,
    Venue,
    all_move_on,
    newest,
    published,
    trade_ids,
)

ENTRIES = 5
RUBBISH = (b"rubbish", b"[]", b"\xff\xfe", b'{"e":"nobody knew"}', b'{"x":' + b"[" * 50_000)


Opened = tuple[AbstractAsyncContextManager[Exchange], TradingSettings]
Opening = Callable[[Simulator, str], Opened]


@dataclass(frozen=True)
class Contender:
    """A venue, how its connector opens it, and how its simulator is made to talk rubbish."""

    venue: Venue
    open: Opening
    talk_rubbish: Callable[[Simulator, Iterable[bytes]], None]


def _open_binance(simulator: Simulator, redis_url: str) -> Opened:
    settings = BinanceSettings(
        redis_url=redis_url,
        binance_symbols=BINANCE.symbols,
        binance_rest_url=f"{simulator.http_url}/api",
        binance_stream_url=simulator.ws_url,
        binance_ws_api_url=f"{simulator.ws_url}/ws-api/v3",
        order_book_interval=0.0,
    )
    return open_binance(settings), settings


def _open_luno(key: dict[str, str]) -> Opening:
    def open_it(simulator: Simulator, redis_url: str) -> Opened:
        settings = LunoSettings.model_validate(
            {
                "redis_url": redis_url,
                "luno_symbols": LUNO.symbols,
                "luno_rest_url": simulator.http_url,
                "luno_stream_url": simulator.ws_url,
                "order_book_interval": 0.0,
                **{name.lower(): value for name, value in key.items()},
            }
        )
        return open_luno(settings), settings

    return open_it


def _binance_rubbish(simulator: Simulator, frames: Iterable[bytes]) -> None:
    for frame in frames:
        for feed in simulator.binance.values():
            feed.channels["depth@100ms"].publish(frame)


def _luno_rubbish(simulator: Simulator, frames: Iterable[bytes]) -> None:
    for frame in frames:
        for feed in simulator.luno.values():
            for push in list(feed._listeners):
                push(frame)


CONTENDERS = (
    Contender(BINANCE, _open_binance, _binance_rubbish),
    Contender(LUNO, _open_luno(LUNO.key), _luno_rubbish),
    Contender(LUNO_WITHOUT_KEY, _open_luno({}), _luno_rubbish),
)


@pytest.fixture(
    params=[
        pytest.param(
            contender,
            id=contender.venue.name,
            marks=[pytest.mark.slow] if contender.venue is LUNO_WITHOUT_KEY else [],
        )
        for contender in CONTENDERS
    ]
)
def contender(request: pytest.FixtureRequest) -> Contender:
    """Each of them in turn."""
    found: Contender = request.param
    return found


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Both venues, lively and small."""
    settings = SimulatorSettings(simulator_port=0, simulator_rate=30.0, simulator_book_orders=100)
    async with running_simulator(settings) as running:
        yield running


@asynccontextmanager
async def engine_running(
    contender: Contender, simulator: Simulator, server: RedisServer, redis: Redis
) -> AsyncIterator[asyncio.Task[None]]:
    """The connector's engine at work, cancelled at the end."""
    opened, settings = contender.open(simulator, server.url)
    async with opened as exchange:
        engine = Engine(exchange, redis, settings, Readiness(), Metrics("test"))
        task = asyncio.create_task(engine.run(contender.venue.symbols, contender.venue.setting))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_instruments_are_listed_with_base_and_quote(
    contender: Contender, simulator: Simulator
) -> None:
    """The symbol is the slash form of the exchange's own split."""
    async with contender.open(simulator, "redis://127.0.0.1:1/0")[0] as exchange:
        found = {i.symbol: i for i in await exchange.instruments(contender.venue.symbols)}
        assert exchange.name == contender.venue.exchange
        await exchange.find_world()
        assert exchange.world == "simulator"
    for symbol in contender.venue.symbols:
        instrument = found[symbol]
        assert symbol == f"{instrument.base}/{instrument.quote}"
        assert instrument.venue_symbol == symbol.replace("/", "")
        assert instrument.trading


async def test_an_unknown_symbol_is_fatal_and_names_the_nearest(
    contender: Contender, simulator: Simulator, redis_server: RedisServer, redis: Redis
) -> None:
    """Not a feed that never comes."""
    opened, settings = contender.open(simulator, redis_server.url)
    known = contender.venue.symbols[0]
    typo = f"{known[:-1]}X"
    async with opened as exchange:
        engine = Engine(exchange, redis, settings, Readiness(), Metrics("test"))
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(engine.run([typo], "SYMBOLS"), 20.0)
    fatal = caught.value.subgroup(FatalError)
    assert fatal is not None
    assert f"SYMBOLS: '{typo}' isn't listed; did you mean" in str(fatal.exceptions[0])
    assert known in str(fatal.exceptions[0])


async def test_three_streams_a_symbol_are_filled_with_valid_messages(
    contender: Contender, simulator: Simulator, redis_server: RedisServer, redis: Redis
) -> None:
    """Of that symbol and exchange, in time order; trades without a hole or a repeat."""
    venue = contender.venue
    async with engine_running(contender, simulator, redis_server, redis):

        async def all_filled() -> bool:
            return all([await redis.xlen(str(stream)) >= ENTRIES for stream in venue.streams])

        await eventually_async(all_filled, within=40.0)
    now = datetime.now(UTC)
    for symbol in venue.symbols:
        for data_type in MARKET_DATA_TYPES:
            messages = await published(redis, MarketStream.of(venue.exchange, symbol, data_type))
            assert {(m.symbol, m.exchange) for m in messages} == {(symbol, venue.exchange)}
            times = [message.timestamp for message in messages]
            assert times == sorted(times)
            assert now - timedelta(minutes=2) < times[-1] < now + timedelta(seconds=5)
        ids = await trade_ids(redis, venue, symbol)
        assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_its_status_says_what_is_live_and_whether_it_trades(
    contender: Contender, simulator: Simulator, redis_server: RedisServer, redis: Redis
) -> None:
    """Told at each change; the last word of a connector that stops is that nothing comes."""
    venue = contender.venue
    stream = str(EventStream(f"{venue.exchange}_connector", "connector_status"))
    state = "polled" if venue is LUNO_WITHOUT_KEY else "live"

    async def told() -> list[ConnectorStatusEvent]:
        entries: Any = await redis.xrange(stream)
        return [ConnectorStatusEvent.model_validate_json(f[b"data"]) for _, f in entries]

    async with engine_running(contender, simulator, redis_server, redis):

        async def all_live() -> bool:
            events = await told()
            if not events or [s.state for s in events[-1].symbols] != [state, state]:
                return False
            return not venue.key or events[-1].trading  # the account takes a moment longer

        await eventually_async(all_live, within=40.0)
        event = (await told())[-1]
    assert (event.exchange, event.world) == (venue.exchange, "simulator")
    assert [status.symbol for status in event.symbols] == list(venue.symbols)
    assert all(status.last_message_age is not None for status in event.symbols)
    has_sequence = venue is not LUNO_WITHOUT_KEY
    assert all((status.sequence is not None) is has_sequence for status in event.symbols)
    assert (event.trading, event.reason_code) == (
        (True, None) if venue.key else (False, "no_credentials")
    )
    if venue is not LUNO_WITHOUT_KEY:  # polling has no connection to lose
        assert {status.state for status in (await told())[-1].symbols} == {"stale"}


async def test_it_ends_within_two_seconds_of_being_cancelled(
    contender: Contender, simulator: Simulator, redis_server: RedisServer, redis: Redis
) -> None:
    """In full flow, and what was heard is written."""
    async with engine_running(contender, simulator, redis_server, redis) as task:
        await eventually_async(lambda: all_move_on(redis, contender.venue, {}), within=40.0)
        loop = asyncio.get_running_loop()
        started = loop.time()
        task.cancel()
        await asyncio.wait([task])
        assert loop.time() - started < 2.0
        assert task.cancelled()


async def test_rubbish_from_the_venue_stops_nothing(
    contender: Contender, simulator: Simulator, redis_server: RedisServer, redis: Redis
) -> None:
    """Every stream goes on, and the trades stay complete."""
    venue = contender.venue
    async with engine_running(contender, simulator, redis_server, redis) as task:
        await eventually_async(lambda: all_move_on(redis, venue, {}), within=40.0)
        contender.talk_rubbish(simulator, RUBBISH * 5)
        since = await newest(redis, venue.streams)
        await eventually_async(lambda: all_move_on(redis, venue, since), within=40.0)
        assert not task.done()
    for symbol in venue.symbols:
        ids = await trade_ids(redis, venue, symbol)
        assert ids == list(range(ids[0], ids[0] + len(ids)))
