"""Average prices and fees of the fills of a connector's orders, from `order_status`."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from common_models.stream_names import EventStream, state_key
from services._runtime.average_price import average_price
from services._runtime.fees import full_fee
from services._runtime.position import NOTHING, Position
from services.tradectl.exit_codes import CommandError, ExitCode
from services.tradectl.reading import PAGE, StreamEntry

# Rounding errors of binary fractions stay below this; every exchange's lot is larger.
ROUNDING_ERROR = Decimal("1e-9")


class Status(msgspec.Struct, frozen=True):
    """The fields of an `order_status` that are needed here; its numbers are decimal."""

    order_id: str
    symbol: str
    filled_quantity: Decimal
    client_order_id: str | None = None
    average_price: Decimal | None = None
    price: Decimal | None = None
    fee: dict[str, Decimal] | None = None
    side: str | None = None
    external: bool = False


class KnownOrder(NamedTuple):
    """The latest state of one order; its numbers are cumulative."""

    client_order_id: str | None
    filled: Decimal
    money: Decimal
    fee: dict[str, Decimal]


UNKNOWN = KnownOrder(None, NOTHING, NOTHING, {})


class FillStep(NamedTuple):
    """A change of a position by *quantity* at *price*; sells are negative.

    `base_fee` reduces the position further, at the order's `average` price. None: no known price.
    """

    quantity: Decimal
    price: Decimal | None
    base_fee: Decimal
    average: Decimal | None


@dataclass
class Fills:
    """The fills of one connector; each call reads its stream from where the last one stopped.

    Only orders that were sent through the connector count, as in its own `state:positions`.
    """

    connector: str
    start: str = "-"
    steps: dict[str, list[FillStep]] = field(default_factory=dict)  # by symbol
    fees: dict[str, Decimal] = field(default_factory=dict)  # by symbol, in its quote asset
    _orders: dict[tuple[str, str], KnownOrder] = field(default_factory=dict)

    async def catch_up(self, redis: Redis) -> dict[str, Position]:
        """Read new entries; return the positions by symbol as of the last entry read.

        Raises:
            CommandError: a position can't be parsed (NO).
        """
        stream, key = self.stream, state_key(self.connector, "positions")
        while True:
            async with redis.pipeline(transaction=True) as ask:
                ask.hgetall(key)
                ask.xrange(stream, min=self.start, count=PAGE)
                found: list[Any] = await ask.execute()
            positions, page = found
            for entry_id, fields in page:
                self.add(StreamEntry(stream, entry_id.decode(), (fields or {}).get(b"data", b"")))
            if len(page) < PAGE:
                return {name.decode(): _read(key, name, data) for name, data in positions.items()}

    @property
    def stream(self) -> str:
        """The stream of `order_status`."""
        return str(EventStream(self.connector, "order_status"))

    def add(self, entry: StreamEntry) -> None:
        """Add one event; ignore an invalid one. Pure."""
        self.start = f"({entry.id}"
        try:
            status = msgspec.json.decode(entry.data, type=Status)
        except (msgspec.MsgspecError, ValueError):
            return
        if not _is_finite(status):
            return
        known = self._orders.get((status.symbol, status.order_id), UNKNOWN)
        if _is_new_order(known, status):
            known = UNKNOWN
        price = status.average_price or status.price
        money = status.filled_quantity * price if price else known.money
        fee = dict(known.fee)
        for asset, paid in (status.fee or {}).items():
            fee[asset] = max(paid, fee.get(asset, NOTHING))
        name = status.client_order_id or known.client_order_id
        now = KnownOrder(name, status.filled_quantity, money, fee)
        self._orders[status.symbol, status.order_id] = now
        if not status.external and status.side in ("buy", "sell"):
            self._book(status.symbol, status.side, known, now, priced=price is not None)

    def _book(
        self, symbol: str, side: str, before: KnownOrder, now: KnownOrder, *, priced: bool
    ) -> None:
        base = symbol.partition("/")[0]
        more, spent = now.filled - before.filled, now.money - before.money
        average = now.money / now.filled if priced and now.filled else None
        price = spent / more if average is not None and more and spent > 0 else average
        in_base = now.fee.get(base, NOTHING) - before.fee.get(base, NOTHING)
        worth = in_base * (average or NOTHING) + self._other_fees(symbol, before, now)
        self.fees[symbol] = self.fees.get(symbol, NOTHING) + worth
        if more or in_base:
            step = FillStep(more if side == "buy" else -more, price, in_base, average)
            self.steps.setdefault(symbol, []).append(step)

    def _other_fees(self, symbol: str, before: KnownOrder, now: KnownOrder) -> Decimal:
        """New fees outside the base asset, in the quote asset, as the connector books them.

        The value of a third asset is unknown: the exchange's full rate is used instead.
        """
        base, _, quote = symbol.partition("/")
        rate = full_fee(self.connector.removesuffix("_connector"))

        def paid(order: KnownOrder) -> Decimal:
            third = any(order.fee[asset] for asset in order.fee if asset not in (base, quote))
            return order.fee.get(quote, NOTHING) + (order.money * rate if third else NOTHING)

        return paid(now) - paid(before)

    def average(self, symbol: str, held: Decimal) -> Decimal | None:
        """The average entry price, without fees, of the quantity *held* now.

        None: the position is flat, or older than the stream's oldest entry.
        """
        steps = self.steps.get(symbol, [])
        at = held - sum((step.quantity - step.base_fee for step in steps), NOTHING)
        at = NOTHING if abs(at) < ROUNDING_ERROR else at
        average: Decimal | None = None
        for step in steps:
            for change, price in ((step.quantity, step.price), (-step.base_fee, step.average)):
                if price is None:
                    average = None
                elif change:
                    average = average_price(at, average, change, price)
                at += change
        return average if held else None


def _read(key: str, symbol: bytes, data: bytes) -> Position:
    try:
        return msgspec.json.decode(data, type=Position)
    except (msgspec.MsgspecError, ValueError) as e:
        name = symbol.decode("utf-8", "replace")
        raise CommandError(
            ExitCode.NO, f"{key} {name}: {e}; expected a position as a connector writes it"
        ) from None


def _is_finite(status: Status) -> bool:
    numbers = (
        status.filled_quantity,
        status.average_price,
        status.price,
        *(status.fee or {}).values(),
    )
    return all(number is None or number.is_finite() for number in numbers)


def _is_new_order(known: KnownOrder, status: Status) -> bool:
    """True if the venue was reset and gave the order's id to another order."""
    names = known.client_order_id, status.client_order_id
    return status.filled_quantity < known.filled or (None not in names and names[0] != names[1])
