"""Limits that are counted in Redis, over restarts and instances: pace, and open orders."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from common_models.stream_names import BOT_ORDERS
from services._connector_kit.orders.bookkeeping import Told
from services._connector_kit.orders.keys import (
    OrderRef,
    accepted_key,
    first_told_key,
    open_key,
    order_key,
    sending_key,
    sent_key,
    told_key,
    unanswered_key,
)
from services._connector_kit.orders.order_state import Accepted
from services._connector_kit.orders.ports import Refused
from services._connector_kit.orders.record import Record, load
from services._connector_kit.orders.settings import TradingSettings
from services._runtime.redis_transaction import at_once, reading

MINUTE_MS = 60_000
BOT, OTHERS = "bot", "others"


def writer(client_order_id: str) -> str:
    """Who counts for an order: the bot, by its ids, or all others together."""
    return BOT if client_order_id.startswith(BOT_ORDERS) else OTHERS


class Counted(NamedTuple):
    """What counts at the moment when an order was counted too.

    Orders of the last minute, by the bot and by others; at most how many are open; those that
    passed until now and aren't answered.
    """

    by_bot: int
    by_others: int
    most_open: int
    passed: set[bytes]


class OrderLimits:
    """Counts an order before it is sent, and says whether it may be.

    An order is written first and counted with all others in the same MULTI: of several at once, in
    one process or two, those beyond a limit see that they are. What is refused is taken out again.

    The halt switch is read in that MULTI too, so that nothing but it lies between an order and its
    POST: `halted_after` carries out commands and reads the switch (`HaltWatch.reason_after`).
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        settings: TradingSettings,
        halted_after: Callable[..., Awaitable[tuple[list[Any], str | None]]],
    ) -> None:
        self._redis: Any = redis
        self._halted_after = halted_after
        self._connector = connector
        self._each = settings.risk_orders_per_minute
        self._all = settings.risk_orders_per_minute_total or self._each
        self._most_open = settings.risk_max_open_orders
        self._unanswered = unanswered_key(connector)
        self._sending = sending_key(connector)
        self._accepted = accepted_key(connector)
        self._open = open_key(connector)

    async def reserve(self, record: Record) -> Refused | None:
        """Count the order of *record*; why it must not be sent, None where it may.

        Raises:
            TransientError: Redis is in trouble: it must not be sent, and may have been counted.
        """
        counted, halt = await self._count(record)
        refusal = (
            _halted(halt) or self._pace(record, counted) or await self._too_many(record, counted)
        )
        if refusal is not None:
            await self._take_back(record)
        return refusal

    async def _count(self, record: Record) -> tuple[Counted, str | None]:
        """Count it; what is counted now, and why trading is halted.

        A minute of the venue's clock: it is the same for all instances, and nobody sets it. What
        lies more than a minute ahead was written before the venue's clock was set back.
        """
        name, now = record.client_order_id, record.timestamp
        own = self._sent(record)
        lately = (f"({now - MINUTE_MS}", now + MINUTE_MS)
        replies, halt = await self._halted_after(
            ("ZADD", self._sending, now, name),
            ("ZADD", own, now, name),
            ("ZREMRANGEBYSCORE", own, "-inf", now - MINUTE_MS),
            ("PEXPIRE", own, 2 * MINUTE_MS),
            ("ZCOUNT", sent_key(self._connector, BOT), *lately),
            ("ZCOUNT", sent_key(self._connector, OTHERS), *lately),
            ("ZINTERCARD", 2, self._unanswered, self._sending),
            ("HLEN", self._accepted),
            ("SCARD", self._open),
            ("ZRANGE", self._sending, 0, -1),
        )
        return Counted(replies[4], replies[5], sum(replies[6:9]), set(replies[9])), halt

    def _pace(self, record: Record, counted: Counted) -> Refused | None:
        who, by_bot, by_others = writer(record.client_order_id), counted.by_bot, counted.by_others
        if (by_bot if who == BOT else by_others) > self._each:
            message = f"RISK_ORDERS_PER_MINUTE allows {self._each} by {who}; wait a little"
        elif by_bot + by_others > self._all:
            variable = "RISK_ORDERS_PER_MINUTE_TOTAL"
            message = f"{variable} allows {self._all} by bot and others; wait a little"
        else:
            return None
        return Refused("orders_per_minute", message)

    async def _too_many(self, record: Record, counted: Counted) -> Refused | None:
        if counted.most_open <= self._most_open:
            return None
        # Some may be somebody else's, or stand in two places: those are looked at.
        others = await self._open_orders(counted.passed) - {record.client_order_id}
        if len(others) < self._most_open:
            return _halted((await self._halted_after())[1])  # looking took a while
        allowed = f"RISK_MAX_OPEN_ORDERS allows {self._most_open}"
        return Refused("max_open_orders", f"{len(others)} are open; {allowed}")

    async def _open_orders(self, passed: set[bytes]) -> set[str]:
        """The client order ids of our orders that are open, or may be.

        Of those without an answer only *passed*: the others came later, and counted this one.
        """
        unanswered, sending, accepted, published = await at_once(
            self._redis,
            ("ZRANGE", self._unanswered, 0, -1),
            ("ZRANGE", self._sending, 0, -1),
            ("HGETALL", self._accepted),
            ("SMEMBERS", self._open),
        )
        names = {name.decode() for name in passed & {*unanswered} & {*sending}}
        # A hash comes as a flat list on a raw connection: every second is a value.
        values = accepted.values() if isinstance(accepted, dict) else accepted[1::2]
        names |= {msgspec.json.decode(data, type=Accepted).client_order_id for data in values}
        return names | await self._ours([text.decode() for text in published])

    async def _ours(self, published: Sequence[str]) -> set[str]:
        """Of the orders that were published as open, those that have a record of ours."""
        if not published:
            return set()
        found = await reading(self._redis.mget([self._told_key(text) for text in published]))
        told = [msgspec.json.decode(data, type=Told) for data in found if data is not None]
        named = [(t.client_order_id, t.symbol) for t in told if t.client_order_id and not t.closed]
        if not named:
            return set()
        records = await reading(
            self._redis.mget([order_key(self._connector, name) for name, _ in named])
        )
        return {
            name
            for (name, symbol), data in zip(named, records, strict=True)
            if data is not None and load(data).order.symbol == symbol
        }

    def _told_key(self, text: str) -> str:
        order = OrderRef.parse(text)
        if order is None:
            return first_told_key(self._connector, text)
        return told_key(self._connector, order)

    def _sent(self, record: Record) -> str:
        return sent_key(self._connector, writer(record.client_order_id))

    async def _take_back(self, record: Record) -> None:
        """It isn't sent: it counts no longer."""
        name = record.client_order_id
        await at_once(
            self._redis, ("ZREM", self._sending, name), ("ZREM", self._sent(record), name)
        )


def _halted(reason: str | None) -> Refused | None:
    return None if reason is None else Refused("halted", f"trading is halted: {reason}")
