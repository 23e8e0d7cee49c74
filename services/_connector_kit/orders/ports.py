"""The ports of the order core: the interfaces through which it reaches Redis, venue and clock.

The core uses no wall clock, randomness or sleep of its own, so that the same code runs in the
deterministic simulation.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from common_models import OrderResponseEvent, PlaceOrderCommand
from common_models.stream_names import CommandStream, OperatorStream
from services._connector_kit.orders.execution.record import Record


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One entry of a command stream; `data` is the JSON of the command.

    * `redelivered`: another process or an earlier run may have started handling it.
    * `deleted`: it was deleted from the stream while it was pending; only its id is left.
    * `operator`: it comes from an operator stream.
    """

    command: str
    entry_id: str
    data: bytes
    redelivered: bool
    deleted: bool = False
    operator: bool = False

    def stream(self, connector: str) -> str:
        """The name of its stream."""
        kind = OperatorStream if self.operator else CommandStream
        return str(kind(connector, self.command))

    @property
    def milliseconds(self) -> int:
        """When Redis added it, in milliseconds of Redis's clock."""
        return int(self.entry_id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class RedisIdentity:
    """A Redis server and its time in epoch milliseconds; a new `identity` means data loss."""

    identity: str
    milliseconds: int


class DataLossRecord(msgspec.Struct, frozen=True):
    """Stored in Redis: which Redis it was, when it last lost data, and how long that matters.

    `data_lost_at`: entries up to then may have been handled, and their records lost.
    `recovery_until`: until then a new command may repeat one whose record was lost. Both are
    milliseconds of Redis's clock, -1 if there was no loss. The JSON keeps the names of the first
    release.
    """

    identity: str
    data_lost_at: int = msgspec.field(name="forgotten_at")
    recovery_until: int = msgspec.field(name="careful_until")


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim: `found` is the record that already has the id, None if we got it.

    `milliseconds` is the time of the claim by Redis's clock.
    """

    found: Record | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue reports it. Quantities are in the base asset, as decimal strings.

    The terms (symbol, side, type, quantity, price) identify the order; an unknown one is `None`.
    `symbol` has the slash form; `type` is "limit", "market", or the venue's name for another type.
    `created` is in venue milliseconds, 0 if unknown.
    """

    order_id: str
    client_order_id: str
    filled_quantity: str
    symbol: str | None = None
    side: str | None = None
    type: str | None = None
    quantity: str | None = None
    price: str | None = None
    created: int = 0


@dataclass(frozen=True, slots=True)
class RoundedOrder:
    """An order rounded to the venue's tick and lot, as decimal strings."""

    quantity: str
    price: str | None


@dataclass(frozen=True, slots=True)
class VenueAcceptance:
    """The venue accepted the order."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Rejection:
    """There is no order: rejected before it was sent, or by the venue with a definitive code.

    Only a code on the connector's list of definitive rejections counts. "Duplicate" is not on it:
    it means that an order with that id exists. `about_key`: the venue rejected the API key, so it
    will reject the next order too.
    """

    reason_code: str
    message: str
    about_key: bool = False


# The venue does not accept the client order id, so an order with it can't exist.
BAD_CLIENT_ORDER_ID = "bad_client_order_id"


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """No answer, or an answer that proves nothing: the order may or may not exist."""

    message: str


# The outcome of the one POST.
PlaceOutcome = VenueAcceptance | Rejection | OutcomeUnknown


class PriceSide(Protocol):
    """One side of a book, best level first."""

    @property
    def best(self) -> float | None:
        """The best price."""

    def top(self, depth: int) -> list[tuple[float, float]]:
        """The best *depth* levels as (price, quantity), best first."""

    def __len__(self) -> int: ...


class LiveBook(Protocol):
    """An order book that is in sync."""

    @property
    def bids(self) -> PriceSide:
        """The buy side."""

    @property
    def asks(self) -> PriceSide:
        """The sell side."""


class Clock(Protocol):
    """A monotonic clock and a sleep, real or virtual."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; they never decrease."""

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds."""


class CommandQueue(Protocol):
    """One dedicated connection to Redis on which commands are read and claimed.

    Each method raises TransientError if the connection is lost or Redis fails. The next call opens
    a new connection, perhaps to a Redis that lost data: call `server` first.
    """

    async def server(self) -> RedisIdentity:
        """Return the identity and the time of the connected Redis."""

    async def prepare(self) -> bool:
        """Create the consumer groups that are missing; True if one was missing."""

    async def load_data_loss(self) -> DataLossRecord | None:
        """Return the stored data-loss record, None if there is none; watch it for changes."""

    async def save_data_loss(self, record: DataLossRecord) -> None:
        """Store the data-loss record; TransientError also if it changed since it was loaded."""

    async def newest_entry(self) -> int:
        """The time of the newest command in Redis milliseconds; 0 if there is none."""

    async def hold_lease(self) -> bool:
        """Take or renew the lease of the active instance; False while another instance has it."""

    async def own_pending(self) -> Sequence[CommandEntry]:
        """The entries that this consumer read and has not acknowledged, oldest first."""

    async def take_over(self) -> Sequence[CommandEntry]:
        """Take over entries that other consumers have left pending for too long."""

    async def new_entries(self, *, wait: bool = True) -> Sequence[CommandEntry]:
        """Read entries that no consumer has read; *wait* blocks a while for the first."""

    async def claim(self, record: Record) -> Claim:
        """Claim the record's client order id for this record, if it is free.

        Raises:
            TransientError: also if the data-loss record, read after the claim on the same
                connection, is not the one that this queue saved: Redis was emptied under the open
                connection, or another instance has detected a data loss.
        """


class OrderJournal(Protocol):
    """The records and answers of all orders; each call is one transaction.

    Each method raises TransientError if Redis may or may not have executed it; a repeat is safe.
    """

    async def get(self, client_order_id: str) -> Record | None:
        """Return the record of that client order id, None if there is none."""

    async def unanswered(self) -> Sequence[Record]:
        """Return all records without a final answer, oldest first: the book of record.

        A claim adds its id to the book before it writes the record; `close` removes it.
        """

    async def publish_unknown(
        self, record: Record, entry: CommandEntry, answer: OrderResponseEvent
    ) -> None:
        """Publish `unknown` and mark the record, which is written again if Redis lost it.

        Does nothing if `unknown` was published before, the record is closed, or another entry has
        its id. Publishes nothing if the entry has its final answer already.
        """

    async def close(self, record: Record, entry: CommandEntry) -> Record:
        """Publish the record's answer, store the record, acknowledge the entry: all or nothing.

        Returns the record that the journal has afterwards.

        * If `answer` has answered the entry before, nothing is published again.
        * If Redis lost the record, it is written again.
        * If the record is closed already, the entry is only acknowledged.
        * If another entry has its id, nothing happens.
        """

    async def answer(
        self, entry: CommandEntry, answer: bytes | None, dead_letter: str | None
    ) -> None:
        """Answer an entry that has no record, and acknowledge it: all or nothing.

        If the entry has been answered before, also by `close`, it is only acknowledged.
        *dead_letter* is the error of an unreadable entry, which is then added to the dead-letter
        stream.
        """

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """Replace a provisional record, whose order exists, by *record*; request its status.

        Does nothing unless the journal's record is provisional.
        """

    async def published_order(self, client_order_id: str) -> VenueOrder | None:
        """Return the order as the account's events published it; None if they have not."""

    async def provisional(self) -> Sequence[Record]:
        """Return the records that were closed as not found less than a day ago."""


class PreTradeChecks(Protocol):
    """Decides whether an order may be sent; the consumer and the executor call it."""

    def wait_reason(self, symbol: str) -> Rejection | None:
        """Why an order of *symbol* should wait, from memory, without I/O; None if it need not.

        For temporary conditions: the account is not reconciled, or the book is out of sync.
        """

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """Return the order rounded by the venue's rules, or the rejection."""

    async def check(self, record: Record) -> Rejection | None:
        """Why this order must not be sent now: switches, halt, limits; None if it may be."""


class ExecutionVenue(Protocol):
    """The exchange as the executor uses it."""

    validity: int  # milliseconds after its timestamp in which the venue may execute a request

    def milliseconds(self) -> int:
        """The venue's time in epoch milliseconds, estimated from the last measurement."""

    def knows_time(self) -> bool:
        """True once the venue's time has been measured; until then `milliseconds` is a guess."""

    async def ready(self, within: float) -> bool:
        """Wait up to *within* seconds until an order may be sent; False if it may not be then."""

    def place(self, record: Record) -> Awaitable[PlaceOutcome]:
        """Send the one POST with the record's timestamp; raises nothing except CancelledError."""

    async def find(self, record: Record) -> VenueOrder | None:
        """Query the venue for the order with the record's client order id; None if not found.

        The symbol need not be configured. None also if the venue can't have accepted such an order:
        it does not list the symbol, or does not accept the id. The order may belong to another
        program: see `identity.is_ours`.

        Raises:
            TransientError: the venue did not answer.
            RejectedError: the venue no longer answers queries for such an order.
        """

    async def search(self, record: Record) -> VenueOrder | None:
        """Search the open and the recent orders for one that a direct query did not find.

        The search covers at least the hour before the record's timestamp: the order may have been
        sent for an earlier entry that Redis lost. Of several orders with the id, one whose terms
        fit the record is preferred.

        Raises:
            TransientError: the venue did not answer.
            RejectedError: the venue no longer answers queries for such an order.
        """
