"""What a connector without API keys does with orders: new ones are refused, older ones kept."""

import time
from contextlib import suppress
from functools import partial

from common_models import PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.answers import outcome_unknown
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import (
    CommandEntry,
    OutcomeUnknown,
    PlaceOutcome,
    Rejection,
    RoundedOrder,
    VenueOrder,
)

NO_CREDENTIALS = "no_credentials"
NO_KEYS = "the connector runs without API keys"


class NoCredentialsVenue:
    """`ExecutionVenue` and `PreTradeChecks` of a connector without API keys: nothing is sent."""

    validity = 0

    def milliseconds(self) -> int:
        """Our own clock."""
        return time.time_ns() // 1_000_000

    def knows_time(self) -> bool:
        """There is no other clock."""
        return True

    def wait_reason(self, symbol: str) -> Rejection | None:  # noqa: ARG002
        """There is nothing to wait for."""
        return None

    async def ready(self, within: float) -> bool:  # noqa: ARG002
        """There is nothing to wait for."""
        return True

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:  # noqa: ARG002
        """Nothing is sent."""
        return Rejection(NO_CREDENTIALS, NO_KEYS)

    async def check(self, record: Record) -> Rejection | None:  # noqa: ARG002
        """It was refused before."""
        return None

    async def place(self, record: Record) -> PlaceOutcome:  # noqa: ARG002
        """Never called: everything is refused before."""
        return OutcomeUnknown(NO_KEYS)

    async def find(self, record: Record) -> VenueOrder | None:  # noqa: ARG002
        """An order of an earlier run, with keys: whether it exists can't be told without them."""
        raise TransientError(NO_KEYS)

    async def search(self, record: Record) -> VenueOrder | None:
        """As `find`."""
        return await self.find(record)


class _LeftOpenError(Exception):
    """What became of an order can't be found out by this process."""


class NoCredentialsExecutor(OrderExecutor):
    """`OrderExecutor` without keys.

    An order that may have been sent by an earlier run, with keys, is told as `unknown`, once. Its
    entry stays pending, and is no longer in hand: those behind it are answered, and a run with
    keys finds it and says what became of it.
    """

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """Refuse a claim of our own; one that somebody may have sent before is left open."""
        del query_first  # nobody can look
        with suppress(_LeftOpenError):
            await super().execute(record, entry, refusal, query_first=False)

    async def handle_existing_claim(
        self, found: Record, entry: CommandEntry, command: PlaceOrderCommand
    ) -> None:
        """As with keys; what isn't closed is left open."""
        with suppress(_LeftOpenError):
            await super().handle_existing_claim(found, entry, command)

    async def recover(self, record: Record) -> None:
        """As with keys; it is left open."""
        with suppress(_LeftOpenError):
            await super().recover(record)

    async def resolve(self, record: Record, entry: CommandEntry) -> Record:
        """Say `unknown`, where that wasn't said yet.

        Raises:
            _LeftOpenError: always.
        """
        message = f"{NO_KEYS}; it is answered once it has them"
        answer = outcome_unknown(record, message, self.venue.milliseconds(), NO_CREDENTIALS)
        await self._until_done(partial(self.journal.publish_unknown, record, entry, answer))
        raise _LeftOpenError
