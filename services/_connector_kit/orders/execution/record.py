"""The journal's record of one order: written before anything is decided or sent."""

from functools import lru_cache
from typing import Literal

import msgspec

from common_models import OrderResponseEvent, PlaceOrderCommand

State = Literal["taken", "unknown", "closed"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One client order id, claimed for one stream entry.

    * `timestamp`, in venue milliseconds, signs the request: the venue rejects a request that a slow
      network or a paused process delivers too late. It is 0 if the venue's time was unknown; then
      nothing was sent for this entry.
    * `validity`, in milliseconds: how long after `timestamp` the venue may execute the request.
    * `sendable` is False for a command that a process whose record was lost may have sent: it is
      resolved, never sent.
    * `command` is the command's JSON without its defaults, so that the previous and the next
      release can read it.
    * `unsent`: it was rejected before anything was sent.
    * `created`: when the venue created its order, in venue milliseconds; 0 if unknown.
    """

    client_order_id: str
    entry_id: str
    command: str
    timestamp: int
    validity: int
    sendable: bool
    state: State = "taken"
    sent_quantity: str | None = None
    sent_price: str | None = None
    answer: str | None = None
    provisional: bool = False
    unsent: bool = False
    created: int = 0

    @property
    def order(self) -> PlaceOrderCommand:
        """The journaled command."""
        return _read_command(self.command)

    def closed(
        self,
        answer: OrderResponseEvent,
        *,
        provisional: bool = False,
        unsent: bool = False,
        created: int = 0,
    ) -> "Record":
        """Return this record with its final answer."""
        return msgspec.structs.replace(
            self,
            state="closed",
            answer=answer.model_dump_json(),
            provisional=provisional,
            unsent=unsent,
            created=created,
        )

    def marked_unknown(self) -> "Record":
        """Return this record as it is after `unknown` was published."""
        return msgspec.structs.replace(self, state="unknown")


# A record is loaded for each report of its order, and its command is read in ten places.
@lru_cache(maxsize=256)
def _read_command(text: str) -> PlaceOrderCommand:
    return PlaceOrderCommand.model_validate_json(text)


_decoder = msgspec.json.Decoder(Record)


def dump(record: Record) -> bytes:
    """Encode a record as the journal stores it."""
    return msgspec.json.encode(record)


def load(data: bytes) -> Record:
    """Decode a record that the journal stored.

    Raises:
        msgspec.DecodeError: *data* is not a record.
    """
    return _decoder.decode(data)
