"""What was published of orders and balances, and publishing what is new: each once."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from common_models import AccountBalanceEvent
from common_models.stream_names import EventStream, state_key
from services._connector_kit.orders.bookkeeping import News, Report, Told, news
from services._connector_kit.orders.counts import OrderCounts
from services._connector_kit.orders.record import load
from services._connector_kit.orders.redis_bus import order_key
from services._runtime.failpoints import reach
from services._runtime.redis_transaction import Change, reading, transact

KEEP_CLOSED = 7 * 24 * 3600


class Accepted(msgspec.Struct, frozen=True):
    """An order of ours that the venue took, and of which nothing was told yet."""

    symbol: str
    client_order_id: str


def accepted_key(connector: str) -> str:
    """A hash of `Accepted` by order id."""
    return state_key(connector, "accepted_orders")


def told_key(connector: str, order_id: str) -> str:
    """Where `Told` is kept."""
    return state_key(connector, f"told:{order_id}")


def told_as_key(connector: str, client_order_id: str) -> str:
    """The order id that was told with that client order id."""
    return state_key(connector, f"told_as:{client_order_id}")


class Trace(NamedTuple):
    """A sign that an order traded: a trade's id, or where there is none how much is filled."""

    symbol: str
    order_id: str
    trade_id: str | None
    filled: Decimal

    def in_(self, told: Told) -> bool:
        """True where what was told has it already."""
        if self.trade_id is not None:
            return self.trade_id in told.trade_ids
        return told.closed and told.filled >= self.filled


class Balance(NamedTuple):
    """One asset: `total` is `free` and `locked` together."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def is_zero(self) -> bool:
        """True where there is nothing of it."""
        return not self.free and not self.locked

    @classmethod
    def nothing(cls, asset: str) -> "Balance":
        """None of it."""
        return cls(asset, Decimal(0), Decimal(0))


class Ledger:
    """The published truth about one account, kept in Redis beside the streams.

    Every change reads what was told, and writes event and memory in one transaction: telling the
    same again, from a second instance or after a lost reply, publishes nothing.
    """

    def __init__(
        self,
        redis: Redis,
        connector: str,
        exchange: str,
        events_maxlen: int,
        counts: OrderCounts | None = None,
    ) -> None:
        self._counts = counts or OrderCounts()
        self._redis: Any = redis
        self._connector = connector
        self._exchange = exchange
        self._maxlen = events_maxlen
        self._statuses = str(EventStream(connector, "order_status"))
        self._balances = str(EventStream(connector, "account_balance"))
        self._open = state_key(connector, "open_orders")
        self._assets = state_key(connector, "balances")
        self._mark = state_key(connector, "trades_mark")

    async def tell(self, report: Report, *, again: bool = False) -> bool:
        """Publish what *report* says beyond what was told; True where there was something.

        With *again* the order's status is published where there is nothing new, too.

        Raises:
            TransientError: Redis is in trouble; telling again is safe.
        """
        key = self._told_key(report.order_id)
        accepted = accepted_key(self._connector)

        async def decide(change: Change) -> News | None:
            data = change.found[0]
            told = None if data is None else msgspec.json.decode(data, type=Told)
            known, ours = await self._known(change, told, report)
            if change.found[1] is not None:
                change.write("HDEL", accepted, report.order_id)
            found = news(told, known, self._exchange, external=not ours, again=again)
            if found is not None:
                self._publish(change, self._statuses, found.event.model_dump_json())
                self._keep(change, report.order_id, found.told)
            return found

        reads = [
            ("GET", key),
            ("HGET", accepted, report.order_id),
            ("GET", order_key(self._connector, report.client_order_id or "")),
        ]
        reach("before_tell")
        found = await transact(self._redis, [key], reads, decide)
        reach("after_tell")
        if found is None:
            return False
        # Luno gives a fill no time, and an order one only when it is made and when it closes.
        timed = bool(report.fills) or report.closed
        self._counts.told(found.event, closed=found.told.closed, timed=timed)
        return True

    def _keep(self, change: Change, order_id: str, told: Told) -> None:
        """Remember what was told, and that its client order id is an order's."""
        life = ("EX", KEEP_CLOSED) if told.closed else ()
        change.write("SET", self._told_key(order_id), msgspec.json.encode(told), *life)
        change.write("SREM" if told.closed else "SADD", self._open, order_id)
        if told.client_order_id is not None:
            told_as = told_as_key(self._connector, told.client_order_id)
            change.write("SET", told_as, order_id, "EX", KEEP_CLOSED)

    async def _known(
        self, change: Change, told: Told | None, report: Report
    ) -> tuple[Report, bool]:
        """*report* with what our own records add to it, and whether the order is ours.

        Binance gives a cancelled order the client id of the cancel, Luno doesn't say how much a
        market order asked for.
        """
        _, accepted, data = change.found
        client_order_id = (
            (told and told.client_order_id)
            or (accepted and msgspec.json.decode(accepted, type=Accepted).client_order_id)
            or report.client_order_id
        )
        if client_order_id != report.client_order_id:
            report = report._replace(client_order_id=client_order_id)
            data = await change.ask("GET", order_key(self._connector, client_order_id or ""))
        if data is None:
            return report, False
        sent = load(data).sent_quantity
        if not report.quantity and sent is not None:
            report = report._replace(quantity=Decimal(sent))
        return report, True

    async def open_orders(self) -> list[tuple[str, Told]]:
        """The orders that were told as open, by exchange order id."""
        ids = [order_id.decode() for order_id in await reading(self._redis.smembers(self._open))]
        found = await reading(self._redis.mget([self._told_key(i) for i in ids])) if ids else ()
        told = [
            (order_id, msgspec.json.decode(data, type=Told))
            for order_id, data in zip(ids, found, strict=True)
            if data
        ]
        self._counts.open = {order_id: order.symbol for order_id, order in told}
        return told

    async def accepted(self) -> dict[str, str]:
        """The orders that were accepted and of which nothing was told yet: symbol by order id."""
        found = await reading(self._redis.hgetall(accepted_key(self._connector)))
        return {
            order_id.decode(): msgspec.json.decode(data, type=Accepted).symbol
            for order_id, data in found.items()
        }

    async def forget(self, order_id: str) -> None:
        """The venue has no such order (a testnet that was reset): stop asking for it."""
        await reading(self._redis.srem(self._open, order_id))
        await reading(self._redis.hdel(accepted_key(self._connector), order_id))

    async def untold(self, traces: Sequence[Trace]) -> list[Trace]:
        """Those of *traces* that nothing was told of yet."""
        if not traces:
            return []
        found = await reading(self._redis.mget([self._told_key(t.order_id) for t in traces]))
        return [
            trace
            for trace, data in zip(traces, found, strict=True)
            if data is None or not trace.in_(msgspec.json.decode(data, type=Told))
        ]

    async def mark(self) -> str | None:
        """Up to where the account's trades were compared; None where they never were."""
        found = await reading(self._redis.get(self._mark))
        return None if found is None else str(found.decode())

    async def set_mark(self, mark: str) -> None:
        """The account's trades were compared up to there."""
        await reading(self._redis.set(self._mark, mark))

    async def assets(self) -> set[str]:
        """The assets whose balance was told, and was not zero."""
        told = await reading(self._redis.hgetall(self._assets))
        return {asset.decode() for asset, text in told.items() if text != b"0 0"}

    async def tell_balances(
        self, balances: Iterable[Balance], at: int, *, all_of: Sequence[str] | None = None
    ) -> None:
        """Publish the balances that changed, those that just became zero among them.

        With *all_of* (assets; empty: all that are not zero) those are published unchanged too.

        Raises:
            TransientError: Redis is in trouble; telling again is safe.
        """
        now = list(balances)

        async def decide(change: Change) -> None:
            (words,) = change.found
            told = dict(zip(words[::2], words[1::2], strict=True))
            for balance in now:
                text = f"{_plain(balance.free)} {_plain(balance.locked)}".encode()
                before = told.get(balance.asset.encode())
                changed = before != text and not (before is None and balance.is_zero)
                if changed or _asked_for(balance, all_of):
                    event = self._balance_event(balance, at)
                    self._publish(change, self._balances, event.model_dump_json())
                    change.write("HSET", self._assets, balance.asset, text)

        await transact(self._redis, [self._assets], [("HGETALL", self._assets)], decide)

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
        return told_key(self._connector, order_id)

    def _publish(self, change: Change, stream: str, data: str) -> None:
        change.write("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _asked_for(balance: Balance, all_of: Sequence[str] | None) -> bool:
    if all_of is None:
        return False
    return balance.asset in all_of if all_of else not balance.is_zero
