"""A connector without API keys refuses new orders and leaves open what it can't find out."""

import asyncio

import pytest

from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.answers import rejected
from services._connector_kit.orders.execution.no_credentials import (
    NoCredentialsExecutor,
    NoCredentialsVenue,
)
from services._connector_kit.orders.ports import CommandEntry, Rejection
from tests.support.orders.commands import command, record
from tests.support.orders.core import START, MemoryJournal
from tests.support.virtual_time import LoopClock, run_virtually

RECORD = record()
ENTRY = CommandEntry("place_order", RECORD.entry_id, b"", redelivered=True)
NO_KEYS = Rejection("no_credentials", "no keys")


def keyless() -> tuple[NoCredentialsExecutor, MemoryJournal]:
    """Its placing, and what is published."""
    journal = MemoryJournal()
    journal.records[RECORD.client_order_id] = RECORD
    journal.pending[ENTRY.entry_id] = ENTRY
    venue = NoCredentialsVenue()
    return NoCredentialsExecutor(venue, venue, journal, LoopClock()), journal


@pytest.mark.parametrize("query_first", [True, False])
def test_a_new_command_is_rejected(query_first: bool) -> None:
    """Also where Redis may have forgotten: nobody can look."""
    executor, journal = keyless()

    async def refuse() -> None:
        async with asyncio.timeout(60):
            await executor.execute(RECORD, ENTRY, NO_KEYS, query_first=query_first)

    run_virtually(refuse())
    assert journal.reasons == ["no_credentials"]
    assert journal.pending == {}


def test_what_may_have_been_sent_is_unknown_and_stays_pending() -> None:
    """A run with keys finds out."""
    executor, journal = keyless()
    unsendable = record(sendable=False)
    run_virtually(executor.execute(unsendable, ENTRY, NO_KEYS, query_first=False))
    run_virtually(executor.handle_existing_claim(RECORD, ENTRY, command()))
    run_virtually(executor.recover(RECORD))
    assert [(e.status, e.reason_code) for _, e in journal.published] == [
        ("unknown", "no_credentials")
    ]
    assert list(journal.pending) == [ENTRY.entry_id]


async def test_without_keys_nothing_is_known_of_an_order() -> None:
    """Not even that there is none."""
    for asked in (NoCredentialsVenue().find, NoCredentialsVenue().search):
        with pytest.raises(TransientError):
            await asked(RECORD)


def test_what_is_closed_is_answered_as_with_keys() -> None:
    """Its answer is known."""
    executor, journal = keyless()
    closed = RECORD.closed(rejected(RECORD.order, ENTRY, NO_KEYS, START, RECORD))
    run_virtually(executor.handle_existing_claim(closed, ENTRY, command()))
    assert journal.published == []
    assert journal.pending == {}
