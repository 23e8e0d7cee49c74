"""Orders on their way past the limits that are counted in Redis, on a real server."""

from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.commands.answers import accepted, rejected
from services._connector_kit.orders.execution.record import Record, dump
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._connector_kit.orders.keys import order_key, unanswered_key
from services._connector_kit.orders.ports import CommandEntry, Rejection, VenueOrder
from services._connector_kit.orders.risk.order_limits import OrderLimits
from services._connector_kit.orders.settings import TradingSettings
from services._runtime.redis_commands import Command
from services._runtime.redis_transaction import at_once
from tests.support.orders.commands import command, record

NAME = "binance_connector"
AT = 1_700_000_000_000
PRICE = Decimal(100)


class Stage:
    """Orders on their way from the claim to their end, and the limits that count them.

    Each is a buy of 0.5 BTC/USDT at 100 unless its test says otherwise.
    """

    def __init__(self, redis: Redis, **limits: object) -> None:
        self.redis: Any = redis
        fields = {"risk_orders_per_minute": 1000, "risk_max_open_orders": 1000, **limits}
        settings = TradingSettings.model_validate(fields)
        self.price = PRICE  # the market's
        self.limits = OrderLimits(redis, NAME, settings, self.halted_after, lambda _: self.price)
        self.halt_at_reading: int | None = None  # the first, the second, ...
        self.readings = 0
        self.journal = RedisJournal(redis, NAME, 1000)
        self.ledger = Ledger(redis, NAME, "binance", 1000)
        self.taken: dict[str, Record] = {}

    async def halted_after(self, *commands: Command) -> tuple[list[Any], str | None]:
        """As the watch of the halt switch does it."""
        replies = await at_once(self.redis, *commands)
        self.readings += 1
        return replies, "why" if self.readings == self.halt_at_reading else None

    async def claim(self, name: str, at: float = 0.0, **order: Any) -> Record:
        """Take an id, as the bus does."""
        entry_id = f"{AT}-{len(self.taken) + 1}"
        asked = command(client_order_id=name, **order)
        taken = record(asked, entry_id=entry_id, timestamp=AT + round(at * 1000))
        self.taken[name] = taken
        await self.redis.zadd(unanswered_key(NAME), {name: AT})
        await self.redis.set(order_key(NAME, name), dump(taken))
        return taken

    async def reserve(self, taken: Record) -> Rejection | None:
        """Have an order counted at its limit."""
        return await self.limits.reserve(taken, Decimal(taken.sent_price or PRICE))

    async def send(self, name: str, at: float = 0.0, **order: Any) -> str | None:
        """Claim an order and have it counted; why it may not be sent, and then it is answered."""
        taken = await self.claim(name, at, **order)
        rejection = await self.reserve(taken)
        if rejection is not None:
            await self.refuse(taken, rejection)
        return rejection.reason_code if rejection else None

    async def refuse(self, taken: Record, rejection: Rejection) -> None:
        """Answer it."""
        answer = rejected(taken.order, entry(taken), rejection, AT, taken)
        await self.journal.close(taken.closed(answer, unsent=True), entry(taken))

    async def accept(self, name: str) -> None:
        """The venue has it."""
        taken = self.taken[name]
        order = VenueOrder(self.number(name), name, "0")
        await self.journal.close(taken.closed(accepted(taken, order, AT)), entry(taken))

    async def publish(self, name: str, status: Any, filled: str = "0") -> None:
        """Its status comes, with so much of it filled at its limit."""
        order = self.taken[name].order
        quantity, traded = Decimal(str(order.quantity)), Decimal(filled)
        price = Decimal(str(order.price or PRICE))
        report = OrderStatusReport(
            self.number(name),
            name,
            *(order.symbol, order.side, status, quantity, traded, traded * price),
            milliseconds=AT,
            created=AT,
            price=price,
        )
        await self.ledger.publish(report)

    async def publish_elsewhere(self, number: int, name: str | None, filled: str = "0") -> None:
        """The status of an order comes that isn't ours."""
        report = OrderStatusReport(
            str(number),
            name,
            *("BTC/USDT", "buy", "open", Decimal("0.5"), Decimal(filled), Decimal(filled) * PRICE),
            milliseconds=AT,
            created=AT,
            price=PRICE,
        )
        await self.ledger.publish(report)

    def number(self, name: str) -> str:
        """The venue's id of an order of ours."""
        return self.taken[name].entry_id.partition("-")[2]


def entry(taken: Record) -> CommandEntry:
    """The entry that it was taken for."""
    return CommandEntry("place_order", taken.entry_id, b"{}", redelivered=False)
