"""The book of record: every order without a final answer stands there, on a real server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from services._connector_kit.orders.account.ledger import Ledger
from services._connector_kit.orders.account.order_status import OrderStatusReport
from services._connector_kit.orders.commands.answers import accepted, outcome_unknown, rejected
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.execution.redis_journal import RedisJournal
from services._connector_kit.orders.keys import OrderRef, order_key, published_key, unanswered_key
from services._connector_kit.orders.ports import CommandEntry, DataLossRecord, Rejection, VenueOrder
from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from tests.support.orders.account import order as report_of
from tests.support.orders.commands import command, record

NAME = "binance_connector"
UNANSWERED = unanswered_key(NAME)
AT = 1_700_000_000_500
WEEK = 7 * 24 * 3600
FOUND = VenueOrder("28", "order-1", "0")


class Book:
    """A bus that claims, and the journal that answers."""

    def __init__(self, redis: Redis, queue: RedisCommandQueue) -> None:
        self.redis: Any = redis
        self.queue = queue
        self.journal = RedisJournal(redis, NAME, 1000)

    async def claim(self, client_order_id: str = "order-1", *, at: int = AT) -> Record:
        """Take an id for an entry of that moment."""
        taken = record(command(client_order_id=client_order_id), entry_id=f"{at}-0")
        await self.queue.claim(taken)
        return taken

    async def names(self) -> list[str]:
        """What stands there."""
        return [taken.client_order_id for taken in await self.journal.unanswered()]

    async def life(self, client_order_id: str = "order-1") -> int:
        """Seconds that a record has yet to live; -1: no end."""
        return int(await self.redis.ttl(order_key(NAME, client_order_id)))


@pytest.fixture
async def book(redis_server: RedisServer, redis: Redis) -> AsyncIterator[Book]:
    """Nothing is claimed yet."""
    async with open_redis(redis_server.url, "bus", single=True) as client:
        queue = RedisCommandQueue(client, NAME, ["place_order"], "one")
        await queue.prepare()
        await queue.save_data_loss(DataLossRecord("this one", -1, -1))
        yield Book(redis, queue)


def entry_of(taken: Record) -> CommandEntry:
    """The entry that a record was taken for."""
    return CommandEntry("place_order", taken.entry_id, b"{}", redelivered=False)


def rejection(taken: Record, *, provisional: bool = False) -> Record:
    """The record, closed without an order."""
    refusal = Rejection("halted", "why")
    answer = rejected(taken.order, entry_of(taken), refusal, AT, taken, provisional=provisional)
    return taken.closed(answer, provisional=provisional)


async def test_a_claimed_order_stands_there_until_it_is_answered(book: Book) -> None:
    """Also once its outcome was said to be unknown."""
    assert await book.names() == []
    taken = await book.claim()
    assert await book.names() == ["order-1"]
    await book.journal.publish_unknown(
        taken, entry_of(taken), outcome_unknown(taken, "no answer", AT)
    )
    (found,) = await book.journal.unanswered()
    assert found == taken.marked_unknown()
    await book.journal.close(rejection(taken), entry_of(taken))
    assert await book.redis.zcard(UNANSWERED) == 0


async def test_the_oldest_comes_first(book: Book) -> None:
    """By the time of its entry; a second entry with an id changes nothing."""
    await book.claim("b", at=AT + 1)
    await book.claim("a", at=AT + 2)
    await book.claim("c", at=AT)
    await book.claim("c", at=AT + 9)
    assert await book.names() == ["c", "b", "a"]


async def test_a_closed_order_that_was_asked_for_again_is_taken_out(book: Book) -> None:
    """Its claim put it there once more; it is answered."""
    taken = await book.claim()
    await book.journal.close(rejection(taken), entry_of(taken))
    await book.claim(at=AT + 5)
    assert await book.redis.zcard(UNANSWERED) == 1
    assert await book.names() == []
    assert await book.redis.zcard(UNANSWERED) == 0


async def test_an_id_without_a_record_is_removed_once_no_process_can_be_claiming_it(
    book: Book,
) -> None:
    """An id is written there a moment before its record is."""
    seconds, _ = await book.redis.time()
    await book.redis.zadd(UNANSWERED, {"old": (seconds - 61) * 1000, "new": seconds * 1000})
    assert await book.names() == []
    assert await book.redis.zrange(UNANSWERED, 0, -1) == [b"new"]


async def test_a_record_that_redis_lost_stands_there_again_once_it_is_unknown(book: Book) -> None:
    """Saying so writes it anew."""
    taken = await book.claim()
    await book.redis.flushall()
    await book.journal.publish_unknown(
        taken, entry_of(taken), outcome_unknown(taken, "no answer", AT)
    )
    assert await book.names() == ["order-1"]


async def test_more_than_a_page_is_read(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it."""
    monkeypatch.setattr("services._connector_kit.orders.execution.redis_journal.UNANSWERED_PAGE", 2)
    for number in range(5):
        await book.claim(f"o{number}", at=AT + number)
    assert await book.names() == [f"o{number}" for number in range(5)]


async def test_a_record_lives_as_long_as_its_order(book: Book) -> None:
    """An accepted one has no expiry; one without an order is kept for a week."""
    taken, refused = await book.claim(), await book.claim("order-2")
    await book.journal.close(taken.closed(accepted(taken, FOUND, AT)), entry_of(taken))
    await book.journal.close(rejection(refused), entry_of(refused))
    assert await book.life() == -1
    assert WEEK - 60 < await book.life("order-2") <= WEEK


def reported(status: Any) -> OrderStatusReport:
    """What the venue says of the order."""
    return report_of("28", status, client_order_id="order-1")


@pytest.mark.parametrize(("status", "ends"), [("open", False), ("canceled", True)])
async def test_an_order_whose_end_was_published_before_its_answer_is_kept_for_a_week(
    book: Book, status: str, ends: bool
) -> None:
    """The account stream may be faster than the answer to the request."""
    taken = await book.claim()
    assert await Ledger(book.redis, NAME, "binance", 1000).publish(reported(status))
    await book.journal.close(taken.closed(accepted(taken, FOUND, AT)), entry_of(taken))
    assert await book.redis.exists(published_key(NAME, OrderRef("BTC/USDT", "28")))
    assert (await book.life() == -1) is not ends


async def test_a_late_order_that_is_found_lives_as_long_as_the_order(book: Book) -> None:
    """Until then its record was kept for a week."""
    taken = await book.claim()
    await book.journal.close(rejection(taken, provisional=True), entry_of(taken))
    assert await book.life() > 0
    await book.journal.correct(taken.closed(accepted(taken, FOUND, AT)), FOUND)
    assert await book.life() == -1
