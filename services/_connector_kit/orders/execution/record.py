"""The journal's record of one order: written before anything is decided or sent."""

from functools import lru_cache
from typing import Literal

import msgspec

from common_models import OrderResponseEvent, PlaceOrderCommand

State = Literal["taken", "unknown", "closed"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One client order id, taken for one stream entry.

    `timestamp` (venue milliseconds) is the one the request is signed with: what lies in a slow
    network, or in a process that was paused, is too old for the venue once it wakes. It is 0 if the
    venue's time wasn't known: then nothing was sent for this entry. `sendable`
    is False for a command that may have been sent by somebody who is forgotten: it is resolved,
    never sent. `command` is the command's JSON without its defaults, so that the release before
    or after this one can read it. `unsent`: it was refused before anything was sent. `created` is
    when the venue made its order, in venue milliseconds; 0 where that isn't known.
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
        """The command that was journaled."""
        return _read_command(self.command)

    def closed(
        self,
        answer: OrderResponseEvent,
        *,
        provisional: bool = False,
        unsent: bool = False,
        created: int = 0,
    ) -> "Record":
        """This record with its final answer."""
        return msgspec.structs.replace(
            self,
            state="closed",
            answer=answer.model_dump_json(),
            provisional=provisional,
            unsent=unsent,
            created=created,
        )

    def marked_unknown(self) -> "Record":
        """This record after `unknown` was published."""
        return msgspec.structs.replace(self, state="unknown")


# An order's record is loaded with each of its reports, and ten places look at its command.
@lru_cache(maxsize=256)
def _read_command(text: str) -> PlaceOrderCommand:
    return PlaceOrderCommand.model_validate_json(text)


_decoder = msgspec.json.Decoder(Record)


def dump(record: Record) -> bytes:
    """A record as the journal keeps it."""
    return msgspec.json.encode(record)


def load(data: bytes) -> Record:
    """A record from the journal.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decoder.decode(data)
