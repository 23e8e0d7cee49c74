"""What the host saves: all of it or nothing, and only on top of what it has read."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services._runtime.stream_position import StreamPosition
from services._runtime.supervise import TransientError
from services.indicators.configuration import read
from services.indicators.market import IndicatorMarket, IndicatorOutput
from services.indicators.plugins import Plugins
from services.indicators.store import Store, candles_key, open_store
from tests.support.bot.indicator_host import STATE, TRADES, market, publish, values
from tests.support.eventually import eventually
from tests.support.network.fault_proxy import FaultProxy, fault_proxy

MAXLEN = 10_000


def bitcoin() -> IndicatorMarket:
    """BTC/USDT with an average of trades."""
    entry = "binance:BTC/USDT:sma_2@trade"
    return IndicatorMarket(read([entry], Plugins(), {"binance": ["BTC/USDT"]}))


async def taken(store: Store, one: IndicatorMarket) -> tuple[StreamPosition, list[IndicatorOutput]]:
    """Load a market and take what is there: where it stands then, and what came of it."""
    one.restore(await store.load(one))
    state, entries = await store.read(one.stream, one.position)
    return StreamPosition(entries[-1][0], state.added), one.handle(entries)


class Trap(list[IndicatorOutput]):
    """Outputs that tell when they are about to be sent, which is after all was read."""

    def __init__(self, outputs: list[IndicatorOutput], proxy: FaultProxy) -> None:
        super().__init__(outputs)
        self._proxy = proxy

    def __iter__(self) -> Iterator[IndicatorOutput]:
        self._proxy.hold_requests = True
        return super().__iter__()


async def test_a_save_that_arrives_late_changes_nothing(
    redis_server: RedisServer, redis: Redis
) -> None:
    """Given up, made again by somebody else, and then it comes after all."""
    await publish(redis, market(), 5)
    async with (
        fault_proxy(redis_server.port) as proxy,
        open_redis(proxy.url, "slow") as slow,
        open_store(slow, MAXLEN) as store,
    ):
        one = bitcoin()
        position, outputs = await taken(store, one)
        saving = asyncio.create_task(store.save(one, position, Trap(outputs, proxy)))
        await eventually(lambda: proxy.held.count(b"XADD") == 4 and b"EXEC" in proxy.held)
        proxy.hang_up()
        with pytest.raises(TransientError):
            await saving
        assert one.position is None
        async with open_store(redis, MAXLEN) as other:
            again = bitcoin()
            await other.save(again, *await taken(other, again))
        before = await redis.hgetall(STATE)
        answer = await proxy.deliver_held()
        assert answer.endswith(b"*-1\r\n"), answer  # what EXEC says where a watched key changed
    assert len(await values(redis, "sma_2")) == 4
    assert await redis.hgetall(STATE) == before
    assert await redis.llen(candles_key(TRADES, "trade")) == 5


async def test_a_host_does_not_overwrite_what_another_host_saved(redis: Redis) -> None:
    """The error says what that may mean."""
    await publish(redis, market(), 5)
    async with open_store(redis, MAXLEN) as store, open_store(redis, MAXLEN) as other:
        one, same = bitcoin(), bitcoin()
        at_once = await taken(store, one), await taken(other, same)
        await store.save(one, *at_once[0])
        with pytest.raises(TransientError, match=r"changed by another process: is there another"):
            await other.save(same, *at_once[1])
    assert len(await values(redis, "sma_2")) == 4


async def test_what_redis_cannot_take_is_not_taken_in_part(redis: Redis) -> None:
    """A Redis that is full refuses values, state and position alike."""
    client: Any = redis
    await publish(redis, market(), 5)
    async with open_store(redis, MAXLEN) as store:
        one = bitcoin()
        position, outputs = await taken(store, one)
        await client.config_set("maxmemory", "1mb")
        with pytest.raises(TransientError, match="maxmemory"):
            await store.save(one, position, outputs)
        await client.config_set("maxmemory", "0")
        assert await values(redis, "sma_2") == []
        assert not await redis.exists(STATE)
        await store.save(one, *await taken(store, one))
    assert len(await values(redis, "sma_2")) == 4


async def test_only_as_many_candles_are_kept_as_are_needed(redis: Redis) -> None:
    """The last thousand; after a hole only those behind it."""
    trades = market()
    await publish(redis, trades, 1300)
    async with open_store(redis, MAXLEN) as store:
        one = bitcoin()
        one.restore(await store.load(one))
        for _ in range(3):
            state, entries = await store.read(one.stream, one.position)
            outputs = one.handle(entries)
            await store.save(one, StreamPosition(entries[-1][0], state.added), outputs)
        assert await redis.llen(candles_key(TRADES, "trade")) == 1000
        next(trades)
        await publish(redis, trades, 7)
        await store.save(one, *await taken(store, one))
    assert await redis.llen(candles_key(TRADES, "trade")) == 7
