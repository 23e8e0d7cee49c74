"""What the order core needs of the world, and nothing else of it.

The core has no wall clock, randomness, ids or sleep of its own: everything comes through these
ports, so that the very same code runs in the deterministic simulation.
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
    """One entry of a command stream. `redelivered`: somebody may have begun with it before.

    `deleted`: the stream was trimmed while it was pending; nothing but its id is left.
    `operator`: it is of an operator's stream.
    """

    command: str
    entry_id: str
    data: bytes
    redelivered: bool
    deleted: bool = False
    operator: bool = False

    def stream(self, connector: str) -> str:
        """The name of the stream that it is of."""
        kind = OperatorStream if self.operator else CommandStream
        return str(kind(connector, self.command))

    @property
    def milliseconds(self) -> int:
        """When Redis took it, by its own clock."""
        return int(self.entry_id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class RedisIdentity:
    """Which Redis this is, and what time it has. `identity` changes when it may have forgotten."""

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
    """What a claim met. `found` is the record that has the id already, None where it is ours now.

    `milliseconds` is when, by Redis's clock.
    """

    found: Record | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue reports it. Quantities in the base asset, as decimal text.

    The terms say which order it is; None where they aren't known. `symbol` is ours, `type` is
    "limit", "market", or the venue's own word for another. `created` is venue milliseconds, 0
    where it isn't known.
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
    """An order on the venue's tick and lot, as decimal text."""

    quantity: str
    price: str | None


@dataclass(frozen=True, slots=True)
class VenueAcceptance:
    """The venue has it."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Rejection:
    """There is no order: refused before it was sent, or by the venue in so many words.

    Only a code on the list of definitive refusals counts. "Duplicate" is not on it: it says that
    an order with that id is there. `about_key`: the venue refused the key, so it will refuse the
    next order too.
    """

    reason_code: str
    message: str
    about_key: bool = False


# The venue can't carry the client order id: there can't be, and never was, an order with it.
BAD_CLIENT_ORDER_ID = "bad_client_order_id"


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """No answer, or none that proves anything: it may or may not have happened."""

    message: str


# What became of the one POST.
PlaceOutcome = VenueAcceptance | Rejection | OutcomeUnknown


class PriceSide(Protocol):
    """One side of a book, best level first."""

    @property
    def best(self) -> float | None:
        """The best price."""

    def top(self, depth: int) -> list[tuple[float, float]]:
        """The best *depth* levels as (price, quantity)."""

    def __len__(self) -> int: ...


class LiveBook(Protocol):
    """A book that is in sync."""

    @property
    def bids(self) -> PriceSide:
        """The buyers."""

    @property
    def asks(self) -> PriceSide:
        """The sellers."""


class Clock(Protocol):
    """Time that passes."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class CommandQueue(Protocol):
    """One dedicated connection to Redis: commands are read and claimed on it.

    Raises TransientError when the connection is gone or Redis is in trouble; the next call then
    starts on a new connection, which may lead to a Redis that has forgotten: ask `server` first.
    """

    async def server(self) -> RedisIdentity:
        """Which Redis this connection leads to."""

    async def prepare(self) -> bool:
        """Make sure that the groups exist; True if one had to be made."""

    async def load_data_loss(self) -> DataLossRecord | None:
        """What was remembered last; None where nothing is."""

    async def save_data_loss(self, record: DataLossRecord) -> None:
        """Remember which Redis this was."""

    async def newest_entry(self) -> int:
        """When the newest entry of the command streams came in; 0 where there is none."""

    async def hold_lease(self) -> bool:
        """Become, or stay, the active instance; False while another one is."""

    async def own_pending(self) -> Sequence[CommandEntry]:
        """What this consumer read and has not acknowledged, oldest first."""

    async def take_over(self) -> Sequence[CommandEntry]:
        """What other consumers read and left for too long, now ours."""

    async def new_entries(self, *, wait: bool = True) -> Sequence[CommandEntry]:
        """What nobody read yet; with *wait* it waits a while for the first."""

    async def claim(self, record: Record) -> Claim:
        """Take the record's client order id for this record, where nobody has it.

        Raises:
            TransientError: also where what is remembered, looked at after the claim on the same
                connection, is not what this bus let it remember: Redis was emptied under the open
                connection, or another instance found out that it forgot.
        """


class OrderJournal(Protocol):
    """What is known about each order; each call is one transaction.

    Raises TransientError when it is not known whether the call did anything: calling again is safe.
    """

    async def get(self, client_order_id: str) -> Record | None:
        """The record of that id."""

    async def unanswered(self) -> Sequence[Record]:
        """All records without a final answer, oldest first: the book of record.

        A claim puts its id there before it takes it, `close` removes it.
        """

    async def publish_unknown(
        self, record: Record, entry: CommandEntry, answer: OrderResponseEvent
    ) -> None:
        """Publish `unknown` and note it in the record, which may have been forgotten meanwhile.

        Nothing happens where it was published before, the record is closed, or another entry has
        its id by now.
        """

    async def close(self, record: Record, entry: CommandEntry) -> Record:
        """Publish the record's answer, keep the record, acknowledge the entry: all or nothing.

        Where the entry was answered before (by `answer`), only the publishing is left out.
        A record that was forgotten meanwhile is written anew. Where it is closed already, only the
        entry is acknowledged; where another entry has its id by now, nothing happens. Returns the
        record that the journal has now.
        """

    async def answer(
        self, entry: CommandEntry, answer: bytes | None, dead_letter: str | None
    ) -> None:
        """Answer an entry that has no record of its own, and acknowledge it: all or nothing.

        A second answer to the same entry, also after `close`, is only acknowledged. With
        `dead_letter` (what is wrong with it) the entry goes to the dead-letter stream too.
        """

    async def correct(self, record: Record, order: VenueOrder) -> None:
        """A ghost appeared: put the corrected *record* in place, and have its status told.

        Nothing happens where the journal's record is not provisional (any more).
        """

    async def told(self, client_order_id: str) -> VenueOrder | None:
        """The order as the account's events told of it; None where they didn't yet."""

    async def provisional(self) -> Sequence[Record]:
        """The records that were closed as not found less than a day ago."""


class PreTradeChecks(Protocol):
    """Whether an order may be sent; asked by the consumer and the executor, never by a venue."""

    def wait_reason(self, symbol: str) -> Rejection | None:
        """Why an order of *symbol* should wait, read from memory; None if nothing is missing.

        For conditions that pass: the account isn't followed (yet), the book is out of sync.
        """

    def validate(self, command: PlaceOrderCommand) -> RoundedOrder | Rejection:
        """The order that would be sent, by the venue's rules; or why none is sent."""

    async def check(self, record: Record) -> Rejection | None:
        """Why this order must not be sent now: switches, halt, limits; None if it may."""


class ExecutionVenue(Protocol):
    """What the executor needs of the exchange."""

    validity: int  # milliseconds: how long after its timestamp a request may still be carried out

    def milliseconds(self) -> int:
        """The venue's clock, as we know it."""

    def knows_time(self) -> bool:
        """True once `milliseconds` is a measurement; until then it proves nothing."""

    async def ready(self, within: float) -> bool:
        """Wait until an order may be sent; False where a ban or the budget lasts longer."""

    def place(self, record: Record) -> Awaitable[PlaceOutcome]:
        """Send the one POST, with the record's timestamp; never raises but CancelledError."""

    async def find(self, record: Record) -> VenueOrder | None:
        """The venue's order with that client order id, by direct query.

        It is asked for whatever the settings say of its symbol. None also where the venue could
        never have taken such an order: it never listed the symbol, or can't carry the id. It may
        be somebody else's order under that id: see `identity.is_ours`.

        Raises:
            TransientError: no answer.
            RejectedError: the venue can't be asked about such an order any more.
        """

    async def search(self, record: Record) -> VenueOrder | None:
        """The same by open orders and recent orders, where a direct query found nothing.

        It looks back at least an hour before the record's timestamp: what is looked for may have
        been sent for an earlier entry that Redis forgot. Of several orders with that id, one whose
        terms fit the record comes first.

        Raises:
            TransientError: no answer.
            RejectedError: the venue can't be asked about such an order any more.
        """
