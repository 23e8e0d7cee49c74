"""The dead-man's switch in virtual time: whose orders are canceled, when, and how often."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from common_models.stream_names import BOT_ORDERS
from services._connector_kit.errors import FeedStoppedError, RejectedError, TransientError
from services._connector_kit.orders.account.order_status import PublishedOrder
from services._connector_kit.orders.commands.dead_man_switch import (
    AGAIN_AFTER,
    POLL_INTERVAL,
    watch_bot,
)
from tests.support.orders.core import START, milliseconds, seconds
from tests.support.virtual_time import LoopClock, run_virtually

PATIENCE = 30.0
ZERO = Decimal(0)


class Heart:
    """What the switch reads of Redis: the bot's last heartbeat, and the time."""

    def __init__(self, last: float | None) -> None:
        self._last = last
        self.away_from = float("inf")

    async def get(self, key: str) -> bytes | None:
        """The heartbeat."""
        if seconds() >= self.away_from:
            raise RedisConnectionError("gone")
        return None if self._last is None else str(START + round(self._last * 1000)).encode()

    async def time(self) -> tuple[int, int]:
        """Seconds and microseconds."""
        return milliseconds() // 1000, milliseconds() % 1000 * 1000


class Venue:
    """Its open orders, as they were published, and what is canceled."""

    def __init__(self, *client_order_ids: str | None) -> None:
        self._orders = {str(number): name for number, name in enumerate(client_order_ids)}
        self.canceled: list[tuple[str, float]] = []
        self.faults: dict[str, Exception] = {}

    async def open_orders(self) -> Sequence[tuple[str, PublishedOrder]]:
        """All of them, for ever."""
        return [
            (order_id, PublishedOrder(name, "BTC/USDT", "open", Decimal(1), ZERO, ZERO, {}))
            for order_id, name in self._orders.items()
        ]

    async def cancel(
        self,
        symbol: str,
        *,
        order_id: str | None,
        client_order_id: str | None,
        keep: str | None = None,
    ) -> str:
        """Note it."""
        self.canceled.append((order_id or "", seconds()))
        if order_id in self.faults:
            raise self.faults[order_id]
        return order_id or ""


def watched(heart: Heart, venue: Venue, until: float) -> list[tuple[str, float]]:
    """What is canceled until that second."""

    async def watch() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(until):
                await watch_bot(cast("Redis", heart), venue, venue, LoopClock(), PATIENCE)

    run_virtually(watch())
    return venue.canceled


@pytest.mark.parametrize("last", [20.0, None])
def test_the_orders_of_a_bot_that_lives_or_never_did_stay(last: float | None) -> None:
    """Up to the second."""
    assert watched(Heart(last), Venue(BOT_ORDERS + "a"), PATIENCE + 20.0) == []


def test_only_the_dead_bots_orders_are_canceled() -> None:
    """Within a second of its patience; again after some seconds, while they are open."""
    venue = Venue(BOT_ORDERS + "a", "mine", None, BOT_ORDERS + "b")
    canceled = watched(Heart(0.0), venue, PATIENCE + 2 * AGAIN_AFTER)
    first = [(order_id, at) for order_id, at in canceled if at < PATIENCE + AGAIN_AFTER]
    assert [order_id for order_id, _ in first] == ["0", "3"]
    assert all(PATIENCE < at <= PATIENCE + 2 * POLL_INTERVAL for _, at in first)
    assert [at for order_id, at in canceled if order_id == "0"] == [
        first[0][1],
        pytest.approx(first[0][1] + AGAIN_AFTER),
    ]


@pytest.mark.parametrize(
    "fault", [TransientError("away"), RejectedError("no"), FeedStoppedError("the key is refused")]
)
def test_one_order_that_cannot_be_canceled_keeps_no_other_open(fault: Exception) -> None:
    """It is tried again like the others."""
    venue = Venue(BOT_ORDERS + "a", BOT_ORDERS + "b")
    venue.faults = {"0": fault}
    canceled = watched(Heart(0.0), venue, PATIENCE + 2 * AGAIN_AFTER)
    assert [order_id for order_id, _ in canceled] == ["0", "1", "0", "1"]


def test_nothing_is_cancelled_while_redis_is_unreachable() -> None:
    """Nothing is canceled while it is."""
    heart: Any = Heart(0.0)
    heart.away_from = PATIENCE - 5
    assert watched(heart, Venue(BOT_ORDERS + "a"), 200.0) == []
