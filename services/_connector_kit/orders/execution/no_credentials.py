"""Orders in a connector without API keys: new ones are rejected, earlier ones stay open."""

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
    """`ExecutionVenue` and `PreTradeChecks` of a connector without API keys; it sends nothing."""

    validity = 0

    def milliseconds(self) -> int:
        """This machine's clock, in epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def knows_time(self) -> bool:
        """True: no other clock is needed."""
        return True

    def wait_reason(self, symbol: str) -> Rejection | None:  # noqa: ARG002
        """There is nothing to wait for."""
        return None

    async def ready(self, within: float) -> bool:  # noqa: ARG002
        """There is nothing to wait for."""
        return True

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:  # noqa: ARG002
        """Reject every order."""
        return Rejection(NO_CREDENTIALS, NO_KEYS)

    async def check(self, record: Record) -> Rejection | None:  # noqa: ARG002
        """None: `validate` has rejected the order."""
        return None

    async def place(self, record: Record) -> PlaceOutcome:  # noqa: ARG002
        """Never called: `validate` rejects every order."""
        return OutcomeUnknown(NO_KEYS)

    async def find(self, record: Record) -> VenueOrder | None:  # noqa: ARG002
        """Find nothing: an order of an earlier run, with keys, can't be queried without them.

        Raises:
            TransientError: always.
        """
        raise TransientError(NO_KEYS)

    async def search(self, record: Record) -> VenueOrder | None:
        """Raise TransientError, as `find` does."""
        return await self.find(record)


class _LeftOpenError(Exception):
    """This process can't resolve the order."""


class NoCredentialsExecutor(OrderExecutor):
    """`OrderExecutor` without keys.

    An order that an earlier run with keys may have sent is published as `unknown` once. Its entry
    stays pending without blocking the entries after it; a later run with keys resolves it.
    """

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """Reject a new claim; leave open one that another process may have sent."""
        del query_first  # the venue can't be queried
        with suppress(_LeftOpenError):
            await super().execute(record, entry, refusal, query_first=False)

    async def handle_existing_claim(
        self, found: Record, entry: CommandEntry, command: PlaceOrderCommand
    ) -> None:
        """Answer a closed order as with keys; leave an unanswered one open."""
        with suppress(_LeftOpenError):
            await super().handle_existing_claim(found, entry, command)

    async def recover(self, record: Record) -> None:
        """Leave the order open."""
        with suppress(_LeftOpenError):
            await super().recover(record)

    async def resolve(self, record: Record, entry: CommandEntry) -> Record:
        """Publish `unknown` unless it was published before.

        Raises:
            _LeftOpenError: always.
        """
        message = f"{NO_KEYS}; the order is answered when it runs with keys again"
        answer = outcome_unknown(record, message, self.venue.milliseconds(), NO_CREDENTIALS)
        await self._until_done(partial(self.journal.publish_unknown, record, entry, answer))
        raise _LeftOpenError
