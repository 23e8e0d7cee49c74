"""The simulated Redis does what the real adapters do on a real server."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from common_models import OrderResponseEvent, PlaceOrderCommand
from common_models.stream_names import CommandStream, DeadLetterStream, EventStream, state_key
from services._connector_kit.orders.answers import accepted, rejected, unclear
from services._connector_kit.orders.ports import Entry, Refused, Remembered, VenueOrder
from services._connector_kit.orders.record import Record
from services._connector_kit.orders.redis_bus import RedisBus
from services._connector_kit.orders.redis_journal import RedisJournal
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.simulation.redis_state import COMMAND, State

CONNECTOR = "binance_connector"
STEPS = 150
AT = 1_700_000_000_000


def record_of(number: int, entry_id: str) -> Record:
    """A claim of order *number* for that entry."""
    command = PlaceOrderCommand(
        client_order_id=f"o{number}", symbol="BTC/USDT", type="market", side="buy", quantity=1
    )
    return Record(
        client_order_id=command.client_order_id,
        entry_id=entry_id,
        command=command.model_dump_json(),
        timestamp=AT,
        validity=5000,
        sendable=True,
    )


class Both:
    """The state of the simulation and a real server, driven through the same steps."""

    def __init__(self, redis: Redis, rng: random.Random) -> None:
        self.state = State()
        self.redis: Any = redis
        self.rng = rng
        self.buses = {
            name: RedisBus(redis, CONNECTOR, [COMMAND], name) for name in ("one", "other")
        }
        self.journal = RedisJournal(redis, CONNECTOR, 1000)

    async def prepare(self) -> None:
        """Groups, and something remembered by both consumers."""
        for bus in self.buses.values():
            made, self.state.group = not self.state.group, True
            assert await bus.prepare() == made
            await bus.remember(Remembered("x", -1, -1))

    async def step(self) -> None:
        """One thing that a connector does, done to both, with the same result."""
        steps: list[Callable[[], Awaitable[None]]] = [
            self.add,
            self.read,
            self.read_pending,
            self.claim,
            self.claim,
            self.unclear,
            self.close,
            self.close,
            self.answer,
            self.correct,
        ]
        await self.rng.choice(steps)()

    async def add(self) -> None:
        """A command comes in."""
        entry_id = await self.redis.xadd(str(CommandStream(CONNECTOR, COMMAND)), {"data": "{}"})
        assert self.state.add(b"{}", 0, entry_id.decode()) == entry_id.decode()

    async def read(self) -> None:
        """`>`; where there is something, so that it doesn't block."""
        if self.state.undelivered():
            consumer = self.rng.choice(sorted(self.buses))
            assert await self.buses[consumer].new_entries() == self.state.read_new(consumer, 0)

    async def read_pending(self) -> None:
        """`0`."""
        consumer = self.rng.choice(sorted(self.buses))
        assert await self.buses[consumer].own_pending() == self.state.read_pending(consumer, 0)

    async def claim(self) -> None:
        """SET NX, by either consumer."""
        record = self.any_record()
        bus = self.buses[self.rng.choice(sorted(self.buses))]
        assert (await bus.claim(record)).found == self.state.claim(record)

    async def unclear(self) -> None:
        """`unknown`, of a claim that may be gone, closed, or another entry's."""
        record = self.any_record()
        answer = unclear(record, "no answer", AT)
        await self.journal.unclear(record, self.entry(record.entry_id), answer)
        self.state.unclear(record, answer)

    async def close(self) -> None:
        """A final answer, of a claim that may be gone, closed, or another entry's."""
        record = self.any_record()
        entry = self.entry(record.entry_id)
        if self.rng.random() < 0.5:
            closed = record.closed(accepted(record, VenueOrder("7", "o", "0"), AT))
        else:
            refusal = Refused("not_found", "no such order")
            closed = record.closed(
                rejected(record.order, entry, refusal, AT, record), provisional=True
            )
        assert await self.journal.close(closed, entry) == self.state.close(closed, entry)

    async def answer(self) -> None:
        """An answer of an entry without a record, with or without a dead letter, or none."""
        entry = self.entry(self.any_record().entry_id)
        refused = rejected(record_of(0, entry.entry_id).order, entry, Refused("x", "x"), AT)
        data = self.rng.choice((None, refused.model_dump_json().encode()))
        error = self.rng.choice((None, "no JSON"))
        await self.journal.answer(entry, data, error)
        self.state.answer(entry, data, error)

    async def correct(self) -> None:
        """A ghost appears, or what is none any more."""
        record, order = self.any_record(), VenueOrder("7", "o", "0")
        corrected = record.closed(accepted(record, order, AT))
        await self.journal.correct(corrected, order)
        self.state.correct(corrected, order)

    def any_record(self) -> Record:
        """A claim of one of few ids, for one of the entries."""
        entry_id = self.rng.choice([*self.state.entries] or ["1-0"])
        return record_of(self.rng.randrange(4), entry_id)

    def entry(self, entry_id: str) -> Entry:
        """The entry of that id."""
        return Entry(COMMAND, entry_id, b"{}", redelivered=False)

    async def assert_the_same(self) -> None:
        """All that can be seen from outside agrees."""
        responses = await self.values(str(EventStream(CONNECTOR, "order_response")))
        assert responses == self.state.responses
        letters = await self.values(str(DeadLetterStream(CONNECTOR, COMMAND)))
        assert len(letters) == len(self.state.dead_letters)
        ghosts = await self.redis.zcard(state_key(CONNECTOR, "ghosts"))
        assert ghosts == len(self.state.provisional())
        for number in range(4):
            found = await self.journal.get(f"o{number}")
            assert found == self.state.records.get(f"o{number}")
        stream = str(CommandStream(CONNECTOR, COMMAND))
        pending = await self.redis.xpending_range(stream, CONNECTOR, "-", "+", 1000)
        have = {p["message_id"].decode(): p["consumer"].decode() for p in pending}
        assert have == {i: p.consumer for i, p in self.state.pending.items()}

    async def values(self, stream: str) -> list[bytes]:
        """What stands in a stream."""
        return [fields[b"data"] for _, fields in await self.redis.xrange(stream)]


@pytest.mark.parametrize("seed", range(4))
async def test_the_simulated_redis_agrees_with_a_real_one(
    redis_server: RedisServer, seed: int
) -> None:
    """Random steps of two consumers: the same replies, and the same state in the end."""
    async with open_redis(redis_server.url, "test", single=True) as redis:
        both = Both(redis, random.Random(seed))
        await both.prepare()
        for _ in range(STEPS):
            await both.step()
        await both.assert_the_same()
        closed = [r for r in both.state.records.values() if r.state == "closed"]
        assert closed
        assert all(OrderResponseEvent.model_validate_json(r.answer or "") for r in closed)
