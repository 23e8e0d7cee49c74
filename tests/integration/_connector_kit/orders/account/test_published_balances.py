"""The balances that are published, on a real server: each change once, none after a newer one."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import AccountBalanceEvent
from services._connector_kit.orders.account.published_balances import (
    BalanceUpdate,
    PublishedBalances,
)
from services._connector_kit.orders.account.venue import Balance

NAME = "luno_connector"
NOW = 1_700_000_000_000


@pytest.fixture
def balances(redis: Redis) -> PublishedBalances:
    """Nothing was published yet."""
    return PublishedBalances(redis, NAME, "luno", 1000)


async def published(redis: Redis) -> list[tuple[str, float, float, float]]:
    """The balances in the stream."""
    entries: Any = await redis.xrange(f"{NAME}:events:account_balance")
    events = [AccountBalanceEvent.model_validate_json(f[b"data"]) for _, f in entries]
    return [(event.asset, event.free, event.locked, event.total) for event in events]


def balance(asset: str, free: str, locked: str = "0") -> Balance:
    """An asset's balance."""
    return Balance(asset, Decimal(free), Decimal(locked))


async def answered(balances: PublishedBalances, *found: Balance) -> BalanceUpdate:
    """The answer to a request that is sent now."""
    return BalanceUpdate(found, 0, NOW, await balances.now())


def publish_pushed(version: int, *found: Balance) -> BalanceUpdate:
    """What the account stream says."""
    return BalanceUpdate(found, version, NOW)


async def test_balances_that_changed_are_published_and_those_that_became_zero(
    balances: PublishedBalances, redis: Redis
) -> None:
    """One that was always zero is not, nor one that is written otherwise but is the same."""
    first = (balance("XBT", "1.5", "0.5"), balance("ETH", "0"))
    assert await balances.publish(await answered(balances, *first))
    assert await balances.publish(await answered(balances, balance("XBT", "1.50", "0.50")))
    assert await balances.assets() == {"XBT"}
    assert await balances.publish(await answered(balances, balance("XBT", "0")))
    assert await balances.publish(await answered(balances, balance("XBT", "0.00")))
    assert await published(redis) == [("XBT", 1.5, 0.5, 2.0), ("XBT", 0.0, 0.0, 0.0)]
    assert await balances.assets() == set()


async def test_balances_that_are_asked_for_are_published_unchanged(
    balances: PublishedBalances, redis: Redis
) -> None:
    """Those named, zero or not; or all that are not zero."""
    now = [balance("XBT", "1"), balance("ZAR", "5"), balance("ETH", "0")]
    await balances.publish(await answered(balances, *now))
    first = len(await published(redis))
    await balances.publish(await answered(balances, *now), all_of=["ETH", "ZAR"])
    await balances.publish(await answered(balances, *now), all_of=[])
    found = [asset for asset, *_ in (await published(redis))[first:]]
    assert found == ["ZAR", "ETH", "XBT", "ZAR"]


async def test_a_balance_is_published_once_by_two_instances(
    redis: Redis, balances: PublishedBalances
) -> None:
    """At the same time."""
    other = PublishedBalances(redis, NAME, "luno", 1000)
    for version in (1, 2, 3):
        update = publish_pushed(version, balance("XBT", str(version)))
        await asyncio.gather(*(one.publish(update) for one in (balances, other) * 3))
    assert [free for _, free, *_ in await published(redis)] == [1.0, 2.0, 3.0]


async def test_an_answer_that_a_push_overtook_is_dropped_asset_by_asset(
    balances: PublishedBalances, redis: Redis
) -> None:
    """And whoever asked hears that it was; the next answer counts."""
    overtaken = await answered(balances, balance("XBT", "1"), balance("ZAR", "5"))
    assert await balances.publish(publish_pushed(1, balance("XBT", "2")))
    assert not await balances.publish(overtaken, all_of=["XBT"])
    assert [(asset, free) for asset, free, *_ in await published(redis)] == [
        ("XBT", 2.0),
        ("ZAR", 5.0),
    ]
    assert await balances.publish(await answered(balances, balance("XBT", "3")))
    assert [free for _, free, *_ in await published(redis)] == [2.0, 5.0, 3.0]


async def test_a_resumed_process_drops_balances_it_received_before_its_pause(
    balances: PublishedBalances, redis: Redis
) -> None:
    """Its push and its answer; another instance has published newer ones meanwhile."""
    late = await answered(balances, balance("XBT", "1"))
    assert await balances.publish(publish_pushed(3, balance("XBT", "3")))
    assert not await balances.publish(publish_pushed(2, balance("XBT", "2")))
    assert not await balances.publish(late)
    assert [free for _, free, *_ in await published(redis)] == [3.0]


async def test_what_an_earlier_release_kept_is_read_and_carried_on(
    balances: PublishedBalances, redis: Redis
) -> None:
    """It kept the amounts alone: the same is not published again, whatever is new counts."""
    key = f"{NAME}:state:balances"
    client: Any = redis
    await client.hset(key, mapping={"XBT": "1.5 0.5", "ETH": "0 0", "ZAR": "7 0"})
    assert await balances.assets() == {"XBT", "ZAR"}
    same = (balance("XBT", "1.5", "0.5"), balance("ETH", "0"), balance("ZAR", "7"))
    assert await balances.publish(await answered(balances, *same))
    assert await published(redis) == []
    assert await balances.publish(publish_pushed(1, balance("ZAR", "8")))
    assert [(asset, free) for asset, free, *_ in await published(redis)] == [("ZAR", 8.0)]
    assert (await client.hget(key, "ZAR")).startswith(b"8 0 1 ")
