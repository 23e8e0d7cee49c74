"""What was published of orders and balances, and publishing what is new: each once."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from common_models import AccountBalanceEvent
from common_models.stream_names import EventStream, state_key
from services._connector_kit.orders.bookkeeping import Report, Told, news
from services._connector_kit.orders.redis_bus import order_key
from services._runtime.redis_transaction import reading, transact

KEEP_CLOSED = 7 * 24 * 3600


class Balance(NamedTuple):
    """One asset: `total` is `free` and `locked` together."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def is_zero(self) -> bool:
        """True where there is nothing of it."""
        return not self.free and not self.locked


class Ledger:
    """The published truth about one account, kept in Redis beside the streams.

    Every change reads what was told, and writes event and memory in one transaction: telling the
    same again, from a second instance or after a lost reply, publishes nothing.
    """

    def __init__(self, redis: Redis, connector: str, exchange: str, events_maxlen: int) -> None:
        self._redis: Any = redis
        self._connector = connector
        self._exchange = exchange
        self._maxlen = events_maxlen
        self._statuses = str(EventStream(connector, "order_status"))
        self._balances = str(EventStream(connector, "account_balance"))
        self._open = state_key(connector, "open_orders")
        self._assets = state_key(connector, "balances")

    async def tell(self, report: Report) -> bool:
        """Publish what *report* says beyond what was told; True where there was something.

        Raises:
            TransientError: Redis is in trouble; telling again is safe.
        """
        key = self._told_key(report.order_id)
        ours = order_key(self._connector, report.client_order_id or "")

        async def change(pipe: Any) -> bool:
            data = await pipe.get(key)
            told = None if data is None else msgspec.json.decode(data, type=Told)
            placed_by_us = bool(await pipe.exists(ours))
            pipe.multi()
            found = news(told, report, self._exchange, external=not placed_by_us)
            if found is None:
                return False
            self._publish(pipe, self._statuses, found.event.model_dump_json())
            pipe.set(key, msgspec.json.encode(found.told), ex=self._life(found.told))
            (pipe.srem if found.told.closed else pipe.sadd)(self._open, report.order_id)
            return True

        return await transact(self._redis, key, change)

    async def open_orders(self) -> list[tuple[str, Told]]:
        """The orders that were told as open, by exchange order id."""
        ids = [order_id.decode() for order_id in await reading(self._redis.smembers(self._open))]
        if not ids:
            return []
        found = await reading(self._redis.mget([self._told_key(i) for i in ids]))
        return [
            (order_id, msgspec.json.decode(data, type=Told))
            for order_id, data in zip(ids, found, strict=True)
            if data
        ]

    async def tell_balances(
        self, balances: Iterable[Balance], at: int, *, all_of: Sequence[str] | None = None
    ) -> None:
        """Publish the balances that changed, those that just became zero among them.

        With *all_of* (assets; empty: all that are not zero) those are published unchanged too.

        Raises:
            TransientError: Redis is in trouble; telling again is safe.
        """
        now = list(balances)

        async def change(pipe: Any) -> None:
            told = await pipe.hgetall(self._assets)
            pipe.multi()
            for balance in now:
                text = f"{balance.free:f} {balance.locked:f}".encode()
                before = told.get(balance.asset.encode())
                changed = before != text and not (before is None and balance.is_zero)
                if changed or _asked_for(balance, all_of):
                    event = self._balance_event(balance, at)
                    self._publish(pipe, self._balances, event.model_dump_json())
                    pipe.hset(self._assets, balance.asset, text)

        await transact(self._redis, self._assets, change)

    def _balance_event(self, balance: Balance, at: int) -> AccountBalanceEvent:
        return AccountBalanceEvent(
            exchange=self._exchange,
            asset=balance.asset,
            free=float(balance.free),
            locked=float(balance.locked),
            total=float(balance.free + balance.locked),
            timestamp=datetime.fromtimestamp(at / 1000, UTC),
        )

    def _told_key(self, order_id: str) -> str:
        return state_key(self._connector, f"told:{order_id}")

    @staticmethod
    def _life(told: Told) -> int | None:
        return KEEP_CLOSED if told.closed else None

    def _publish(self, pipe: Any, stream: str, data: str) -> None:
        pipe.xadd(stream, {"data": data}, maxlen=self._maxlen, approximate=True)


def _asked_for(balance: Balance, all_of: Sequence[str] | None) -> bool:
    if all_of is None:
        return False
    return balance.asset in all_of if all_of else not balance.is_zero
