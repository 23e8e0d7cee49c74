"""What a Redis holds for one connector, and what its commands do to that; nothing goes wrong here.

The semantics are those of Redis 7: one group with a pending list per consumer, `>` and `0`,
XAUTOCLAIM by idle time, SET NX, and transactions that are carried out whole.
"""

import copy
from dataclasses import dataclass, field

from common_models import OrderResponseEvent
from services._connector_kit.orders.ports import Entry, Remembered, VenueOrder
from services._connector_kit.orders.record import Record

COMMAND = "place_order"
BATCH = 10


def position(entry_id: str) -> tuple[int, int]:
    """An entry id, in the order of ids."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


@dataclass(frozen=True, slots=True)
class Pending:
    """Who has an entry, and since when (milliseconds)."""

    consumer: str
    since: int


@dataclass
class State:
    """Everything in one Redis. All of it is lost or rolled back together."""

    entries: dict[str, bytes] = field(default_factory=dict)
    last_id: tuple[int, int] = (0, 0)
    group: bool = False
    delivered: tuple[int, int] = (0, 0)
    pending: dict[str, Pending] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    responses: list[bytes] = field(default_factory=list)
    corrected: list[tuple[str, str]] = field(default_factory=list)  # client order id, order id
    told: dict[str, VenueOrder] = field(default_factory=dict)  # by client order id
    dead_letters: list[str] = field(default_factory=list)
    remembered: Remembered | None = None
    lease: tuple[str, int] | None = None

    def snapshot(self) -> "State":
        """This very state, to come back to."""
        return State(**{name: copy.copy(value) for name, value in vars(self).items()})

    # --- the command stream

    def add(self, data: bytes, now: int, wanted: str | None = None) -> str:
        """XADD; an id that Redis would refuse becomes the next legal one."""
        following = (self.last_id[0], self.last_id[1] + 1)
        asked = position(wanted) if wanted else (now, 0)
        self.last_id = max(asked, following)
        entry_id = f"{self.last_id[0]}-{self.last_id[1]}"
        self.entries[entry_id] = data
        return entry_id

    def undelivered(self) -> list[str]:
        """What the group has not given to anybody."""
        return [i for i in self.entries if position(i) > self.delivered]

    def read_new(self, consumer: str, now: int) -> list[Entry]:
        """XREADGROUP `>`."""
        new = self.undelivered()[:BATCH]
        for entry_id in new:
            self.pending[entry_id] = Pending(consumer, now)
            self.delivered = position(entry_id)
        return [Entry(COMMAND, i, self.entries[i], redelivered=False) for i in new]

    def read_pending(self, consumer: str, now: int) -> list[Entry]:
        """XREADGROUP `0`."""
        own = sorted((i for i, p in self.pending.items() if p.consumer == consumer), key=position)
        return self._give(own, consumer, now)

    def take_over(self, consumer: str, now: int, idle: int) -> list[Entry]:
        """XAUTOCLAIM."""
        left = [
            i for i, p in self.pending.items() if p.consumer != consumer and now - p.since >= idle
        ]
        return self._give(sorted(left, key=position)[:BATCH], consumer, now)

    def _give(self, ids: list[str], consumer: str, now: int) -> list[Entry]:
        for entry_id in ids:
            self.pending[entry_id] = Pending(consumer, now)
        return [Entry(COMMAND, i, self.entries[i], redelivered=True) for i in ids]

    def hold_lease(self, consumer: str, now: int, lasts: int) -> bool:
        """SET NX PX, renewed by who has it."""
        if self.lease is not None and self.lease[0] != consumer and self.lease[1] > now:
            return False
        self.lease = (consumer, now + lasts)
        return True

    # --- the journal

    def claim(self, record: Record) -> Record | None:
        """SET NX GET."""
        found = self.records.get(record.client_order_id)
        if found is None:
            self.records[record.client_order_id] = record
        return found

    def unclear(self, record: Record, answer: OrderResponseEvent) -> None:
        """The transaction that publishes `unknown`."""
        now = self.records.get(record.client_order_id, record)
        if now.state == "taken" and now.entry_id == record.entry_id:
            self.responses.append(answer.model_dump_json().encode())
            self.records[record.client_order_id] = now.marked_unknown()

    def close(self, record: Record, entry: Entry) -> Record:
        """The transaction that answers, closes and acknowledges."""
        now = self.records.get(record.client_order_id)
        if now is not None and now.entry_id != record.entry_id:
            return now
        if now is None or now.state != "closed":
            now = record
            if entry.entry_id not in self.answered:
                self.answered.add(entry.entry_id)
                self.responses.append((record.answer or "").encode())
            self.records[record.client_order_id] = record
        self.pending.pop(entry.entry_id, None)
        return now

    def answer(self, entry: Entry, answer: bytes | None, dead_letter: str | None) -> None:
        """The transaction that answers an entry without a record of its own."""
        says_something = answer is not None or dead_letter is not None
        if says_something and entry.entry_id not in self.answered:
            self.answered.add(entry.entry_id)
            if dead_letter is not None:
                self.dead_letters.append(entry.entry_id)
            if answer is not None:
                self.responses.append(answer)
        self.pending.pop(entry.entry_id, None)

    def correct(self, record: Record, order: VenueOrder) -> None:
        """The transaction that corrects a record of a ghost."""
        now = self.records.get(record.client_order_id)
        if now is not None and now.provisional:
            self.corrected.append((record.client_order_id, order.order_id))
            self.records[record.client_order_id] = record

    def unanswered(self) -> list[Record]:
        """What has no final answer."""
        return [record for record in self.records.values() if record.state != "closed"]

    def provisional(self) -> list[Record]:
        """What was given up, and is watched."""
        return [record for record in self.records.values() if record.provisional]
