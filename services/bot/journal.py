"""Writes a decision, its command and the bot's state to Redis in one transaction.

One MULTI holds the commands, the events, the position in every stream, and the saved state. So a
command is in its stream if and only if the saved state has its order. After a kill the bot reads
the same entries again, makes the same decisions under the same ids, and knows which were sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from common_models import DecisionEvent
from common_models.stream_names import BOT_HEARTBEAT, HALT, TRADING, state_key
from services._runtime.halt import halt_reason
from services._runtime.lifecycle import FatalError
from services._runtime.redis_commands import Command
from services._runtime.redis_transaction import Change, reading, transact
from services._runtime.stream_position import StreamPosition
from services.bot.resync import OrderQuery

log = structlog.get_logger()

POSITIONS = state_key("bot", "positions")
SAVED_STATE = state_key("bot", "books")
REVISION = "revision"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """The reason of the halt (None if trading is allowed), and Redis's time in seconds."""

    halted: str | None
    now: float


class Outgoing(NamedTuple):
    """A command for its stream; `places` is the id of the order that it places, else empty."""

    stream: str
    data: bytes
    places: str = ""


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """Everything that one transaction writes, as of one moment.

    `events` are (stream, data). `decisions` belong to the first items of the outbox, one for each;
    `refused` are the ids of the orders that are refused at this moment.
    """

    moment: Moment
    positions: Mapping[str, StreamPosition]
    fields: Mapping[str, bytes]
    commands: list[Outgoing] = field(default_factory=list)
    queries: tuple[OrderQuery, ...] = ()
    events: list[tuple[str, bytes]] = field(default_factory=list)
    decisions: tuple[DecisionEvent, ...] = ()
    refused: frozenset[str] = frozenset()
    heartbeat: bool = True


class Written(NamedTuple):
    """A snapshot that is in Redis; the entry ids of its commands, empty if the reply was lost."""

    snapshot: StateSnapshot
    entry_ids: tuple[str, ...]


class DecisionJournal:
    """Writes snapshots, one after the other; only one bot may do so.

    `on_lost` is called if the saved state is missing: Redis has lost the last write, and perhaps
    more.
    """

    def __init__(
        self, redis: Redis, events_maxlen: int, on_lost: Callable[[], None] = lambda: None
    ) -> None:
        self._on_lost = on_lost
        self._redis = redis
        self._maxlen = events_maxlen
        self._run = uuid4().hex
        self._last: bytes | None = None  # the last revision known to be in Redis
        self._previous_run: bytes | None = None  # the last revision of the previous run
        self._tries = 0
        # Snapshots whose outcome is unknown, by revision.
        self._unsettled: dict[bytes, StateSnapshot] = {}
        self._positions: Mapping[str, StreamPosition] = {}
        self._fields: Mapping[str, bytes] = {}

    async def load(self) -> Mapping[str, bytes]:
        """The fields of the saved state; empty if there is none.

        Raises:
            TransientError: Redis failed.
        """
        found: Any = await reading(self._redis.hgetall(SAVED_STATE))
        self._last = self._previous_run = found.pop(REVISION.encode(), None)
        self._fields = {name.decode(): data for name, data in found.items()}
        return self._fields

    async def write(self, make: Callable[[Moment], StateSnapshot]) -> Written:
        """Write the snapshot that *make* returns.

        The halt switch is watched: if it changes before the write, *make* is called again.

        Raises:
            TransientError: Redis failed. The next call finds out whether the write succeeded.
            FatalError: another bot writes this state.
        """

        async def decide(change: Change) -> tuple[bytes, StateSnapshot, Change]:
            revision, trading, halt, (seconds, microseconds) = change.found
            if revision in self._unsettled:
                return revision, self._unsettled[revision], change
            self._check(revision)
            now = int(seconds) + int(microseconds) / 1e6
            snapshot = make(Moment(halt_reason(trading, halt), now))
            self._tries += 1
            mine = f"{self._run}:{self._tries}".encode()
            self._unsettled[mine] = snapshot
            if revision != self._last:  # Redis lost data: write everything again
                self._positions, self._fields = {}, {}
                change.write("DEL", SAVED_STATE)
            for command in self._commands(snapshot, mine):
                change.write(*command)
            return mine, snapshot, change

        reads: list[Command] = [("HGET", SAVED_STATE, REVISION), ("GET", TRADING), ("GET", HALT)]
        watched = [SAVED_STATE, TRADING, HALT]
        self._last, snapshot, change = await transact(
            self._redis, watched, [*reads, ("TIME",)], decide
        )
        self._unsettled.clear()
        self._positions, self._fields = snapshot.positions, snapshot.fields
        return Written(snapshot, _entry_ids(snapshot, change))

    def _check(self, revision: bytes | None) -> None:
        """Check that no other bot wrote the state; a Redis that lost data gets it again."""
        if revision == self._last:
            return
        ours = revision is None or revision.startswith(self._run.encode())
        if not ours and not _is_before(revision, self._previous_run):
            raise FatalError(
                f"{SAVED_STATE} was written by another bot; expected one bot for one Redis"
            )
        log.warning("saved_state_missing", key=SAVED_STATE, action="written again")
        self._on_lost()

    def _commands(self, snapshot: StateSnapshot, revision: bytes) -> list[Command]:
        """The commands that write a snapshot: what is new or changed since the last write."""
        commands: list[Command] = [
            ("XADD", stream, "*", "data", data) for stream, data, _ in snapshot.commands
        ]
        commands += [("XADD", each.stream, "*", "data", each.data) for each in snapshot.queries]
        commands += [
            ("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)
            for stream, data in snapshot.events
        ]
        positions = _changed(snapshot.positions, self._positions)
        if positions:
            words = [word for stream, at in positions.items() for word in (stream, str(at))]
            commands.append(("HSET", POSITIONS, *words))
        changed = _changed(snapshot.fields, self._fields)
        words_changed = [word for name, data in changed.items() for word in (name, data)]
        commands.append(("HSET", SAVED_STATE, REVISION, revision, *words_changed))
        gone = [name for name in self._fields if name not in snapshot.fields]
        if gone:
            commands.append(("HDEL", SAVED_STATE, *gone))
        if snapshot.heartbeat:
            commands.append(("SET", BOT_HEARTBEAT, int(snapshot.moment.now * 1000)))
        return commands


def _is_before(revision: bytes | None, last: bytes | None) -> bool:
    """True for the revision *last*, and for earlier revisions of the same run."""
    run, _, number = (revision or b"").partition(b":")
    last_run, _, last_number = (last or b"").partition(b":")
    return bool(run) and run == last_run and int(number or 0) <= int(last_number or 0)


def _entry_ids(snapshot: StateSnapshot, change: Change) -> tuple[str, ...]:
    """The entry ids of the commands; empty if an earlier try, whose reply was lost, wrote them."""
    begin = 1 if change.writes[:1] == [("DEL", SAVED_STATE)] else 0
    replies = change.replies[begin : begin + len(snapshot.commands)]
    return tuple(reply.decode() for reply in replies)


def _changed(now: Mapping[str, T], before: Mapping[str, T]) -> dict[str, T]:
    return {name: value for name, value in now.items() if before.get(name) != value}
