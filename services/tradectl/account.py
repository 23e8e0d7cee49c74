"""`tradectl orders` and `tradectl balances`, from the connectors' events."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from common_models.stream_names import EventStream, joined
from services.tradectl import show
from services.tradectl.exit_codes import ExitCode, print_message, unknown_after
from services.tradectl.reading import Follower, StreamEntry, is_trimmed, redis_time, utc_time
from services.tradectl.requests import refresh_balances
from services.tradectl.sending import selected_connectors
from services.tradectl.tables import Column, Seconds, table

ORDER_COLUMNS = (
    "order",
    Column("order_id", wide=True),
    "market",
    "side",
    Column("type", wide=True),
    "quantity",
    "price",
    "filled",
    Column("average", wide=True),
    "status",
    Column("updated ago", wide=True),
)
OPEN = frozenset({"open", "partially_filled", "accepted", "unknown"})


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order, from its answer and its latest status; None: unknown."""

    exchange: str
    client_order_id: str | None
    order_id: str | None
    symbol: str
    side: str | None
    type: str | None
    quantity: float | None
    price: float | None
    filled: float
    average_price: float | None
    status: str
    external: bool
    at: int  # when its latest event was written, in Unix milliseconds by Redis's clock

    @property
    def row(self) -> dict[str, Any]:
        """The order as a JSON object."""
        found = {name: getattr(self, name) for name in self.__slots__ if name != "at"}
        return {**found, "updated": utc_time(self.at).isoformat()}


@dataclass
class Orders:
    """The orders of one exchange, from their events so far. Pure."""

    exchange: str
    _answers: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    _statuses: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)

    def add_response(self, entry: StreamEntry) -> None:
        """Add an `order_response`; ignore a rejected duplicate id: it concerns another order."""
        fields = entry.fields
        refused_repeat = fields.get("reason_code") == "duplicate_id"
        if fields.get("client_order_id") and not refused_repeat:
            self._answers[fields["client_order_id"]] = (entry.milliseconds, fields)

    def add_status(self, entry: StreamEntry) -> None:
        """Add an `order_status`."""
        fields = entry.fields
        if fields.get("order_id"):
            self._statuses[fields["order_id"]] = (entry.milliseconds, fields)

    def orders_by_update(self) -> list[OrderLine]:
        """All orders; the most recently updated one is last."""
        answers = dict(self._answers)
        lines = []
        for at, status in self._statuses.values():
            # Remove the answer: an order that has a status is listed once.
            _, answer = answers.pop(status.get("client_order_id") or "", (0, {}))
            lines.append(_status_line(self.exchange, at, status, answer))
        lines += [_response_line(self.exchange, at, answer) for at, answer in answers.values()]
        return sorted(lines, key=lambda line: line.at)


@dataclass
class Account:
    """Orders and balances; each stream is read only from where the last read stopped."""

    _follower: Follower = field(default_factory=Follower)
    _orders: dict[str, Orders] = field(default_factory=dict)
    _balances: dict[str, dict[str, StreamEntry]] = field(default_factory=dict)

    async def orders(self, redis: Redis, connector: str) -> list[OrderLine]:
        """All orders of one connector."""
        exchange = connector.removesuffix("_connector")
        found = self._orders.setdefault(connector, Orders(exchange))
        statuses = str(EventStream(connector, "order_status"))
        async for entry in self._follower.new(redis, str(EventStream(connector, "order_response"))):
            found.add_response(entry)
        async for entry in self._follower.new(redis, statuses):
            found.add_status(entry)
        await _warn_of_trimmed(redis, statuses)
        return found.orders_by_update()

    async def balances(self, redis: Redis, connector: str) -> dict[str, StreamEntry]:
        """The latest `account_balance` by asset."""
        latest = self._balances.setdefault(connector, {})
        stream = str(EventStream(connector, "account_balance"))
        async for entry in self._follower.new(redis, stream):
            latest[str(entry.fields.get("asset"))] = entry
        return latest


def _status_line(
    exchange: str, at: int, status: Mapping[str, Any], answer: Mapping[str, Any]
) -> OrderLine:
    filled = float(status.get("filled_quantity") or 0)
    return OrderLine(
        exchange=exchange,
        client_order_id=status.get("client_order_id"),
        order_id=status.get("order_id"),
        symbol=str(status.get("symbol")),
        side=answer.get("side"),
        type=answer.get("type"),
        quantity=answer.get("sent_quantity")
        or _sum(filled, float(status.get("remaining_quantity") or 0)),
        price=answer.get("sent_price"),
        filled=filled,
        average_price=status.get("average_price"),
        status=str(status.get("status")),
        external=bool(status.get("external")),
        at=at,
    )


def _sum(first: float, second: float) -> float:
    """The decimal sum: 0.1 and 0.2 give 0.3."""
    return float(Decimal(str(first)) + Decimal(str(second)))


def _response_line(exchange: str, at: int, answer: Mapping[str, Any]) -> OrderLine:
    return OrderLine(
        exchange=exchange,
        client_order_id=answer.get("client_order_id"),
        order_id=answer.get("order_id"),
        symbol=str(answer.get("symbol")),
        side=answer.get("side"),
        type=answer.get("type"),
        quantity=answer.get("sent_quantity") or answer.get("requested_quantity"),
        price=answer.get("sent_price") or answer.get("requested_price"),
        filled=float(answer.get("filled_quantity") or 0),
        average_price=None,
        status=str(answer.get("status")),
        external=False,
        at=at,
    )


async def orders(
    redis: Redis,
    account: Account,
    exchange: str | None,
    symbol: str | None,
    *,
    closed: bool,
    as_json: bool,
) -> ExitCode:
    """Show the open orders; with *closed*, all orders."""
    found: list[OrderLine] = []
    for name in await selected_connectors(redis, exchange):
        found += await account.orders(redis, name)
    wanted = [
        each
        for each in found
        if (closed or each.status in OPEN) and (not symbol or joined(each.symbol) == joined(symbol))
    ]
    if as_json:
        show.as_json([each.row for each in wanted])
        return ExitCode.DONE
    now = await redis_time(redis)
    table(
        "orders" if closed else "open orders",
        ORDER_COLUMNS,
        [_shown(each, (now - each.at) / 1000) for each in wanted],
    )
    return ExitCode.DONE


def _shown(order: OrderLine, age: float) -> tuple[object, ...]:
    return (
        order.client_order_id or order.order_id,
        order.order_id,
        f"{order.exchange} {order.symbol}",
        order.side,
        order.type,
        order.quantity,
        order.price,
        order.filled,
        order.average_price,
        order.status + (" (external)" if order.external else ""),
        Seconds(age),
    )


async def balances(
    redis: Redis,
    account: Account,
    exchange: str | None,
    assets: list[str],
    *,
    zero: bool,
    refresh: bool,
    seconds: float,
    as_json: bool,
) -> ExitCode:
    """Show the latest balance of each asset; with *refresh*, request new ones first."""
    exit_code = ExitCode.DONE
    if refresh:
        exit_code = await refresh_balances(redis, exchange, assets, seconds)
    with unknown_after("the exchanges were asked") if refresh else nullcontext():
        rows = await _balances(redis, account, exchange, assets, zero=zero)
    if as_json:
        show.as_json(rows)
    else:
        now = await redis_time(redis)
        columns = ("exchange", "asset", "free", "locked", "total")
        table(
            "balances",
            (*columns, "updated ago"),
            [
                (*(row.get(column) for column in columns), _age(str(row["told"]), now))
                for row in rows
            ],
        )
    return exit_code


def _age(updated: str, now: float) -> Seconds:
    return Seconds(max(0.0, now / 1000 - datetime.fromisoformat(updated).timestamp()))


async def _balances(
    redis: Redis, account: Account, exchange: str | None, assets: list[str], *, zero: bool
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in await selected_connectors(redis, exchange):
        latest = await account.balances(redis, name)
        rows += [
            {**entry.fields, "told": utc_time(entry.milliseconds).isoformat(timespec="seconds")}
            for asset, entry in sorted(latest.items())
            if (not assets or asset in assets) and (zero or assets or entry.fields.get("total"))
        ]
    return rows


async def _warn_of_trimmed(redis: Redis, stream: str) -> None:
    """Warn that the status of a long-lived order may have been trimmed."""
    if await is_trimmed(redis, stream):
        print_message(
            f"{stream} no longer holds its oldest entries: orders that only those named are missing"
        )
