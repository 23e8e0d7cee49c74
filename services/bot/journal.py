"""What the bot keeps in Redis: a decision, its command and all that led to it are written as one.

One MULTI holds the commands, the events, how far every stream was read, and the books. So a command
is in its stream if and only if the saved books know its order: whenever the bot is killed, what it
reads again leads to the same decisions under the same ids, and what was sent is known to be.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from common_models import DecisionEvent
from common_models.stream_names import HALT, state_key
from services._runtime.lifecycle import FatalError
from services._runtime.redis_line import Command
from services._runtime.redis_transaction import Change, reading, transact
from services._runtime.stream_position import Position

log = structlog.get_logger()

POSITIONS = state_key("bot", "positions")
BOOKS = state_key("bot", "books")
HEARTBEAT = state_key("bot", "heartbeat")


@dataclass(frozen=True, slots=True)
class Moment:
    """What the switch says, and what time it is by Redis's clock, in seconds."""

    halted: str | None
    now: float


@dataclass(frozen=True, slots=True)
class Cut:
    """All that is to be written, as it was at one moment.

    `commands` and `events` are (stream, data). `decisions` stand for the first notes of the outbox,
    one for each; `refused` are the ids of those orders that are not sent after all.
    """

    moment: Moment
    positions: Mapping[str, Position]
    books: bytes
    commands: list[tuple[str, bytes]] = field(default_factory=list)
    events: list[tuple[str, bytes]] = field(default_factory=list)
    decisions: tuple[DecisionEvent, ...] = ()
    refused: frozenset[str] = frozenset()
    heartbeat: bool = True


class Journal:
    """Writes cuts, one after the other; only one bot may do so."""

    def __init__(self, redis: Redis, events_maxlen: int) -> None:
        self._redis = redis
        self._maxlen = events_maxlen
        self._run = uuid4().hex
        self._loaded: bytes | None = None
        self._tries = 0
        # Cuts of which it isn't known whether they were written, by revision.
        self._unsettled: dict[bytes, Cut] = {}
        self._saved: Mapping[str, Position] = {}
        self._written = False

    async def load(self) -> bytes | None:
        """The books as they were saved last; None where there are none.

        Raises:
            TransientError: Redis is in trouble.
        """
        found: Any = await reading(self._redis.hmget(BOOKS, ["revision", "data"]))
        revision, books = found
        self._loaded = revision
        data: bytes | None = books
        return data

    async def write(self, make: Callable[[Moment], Cut]) -> Cut:
        """Write what *make* gives; it is called again where something changed meanwhile.

        The switch `control:halt` is watched: set before this is written, *make* is told of it.

        Raises:
            TransientError: Redis is in trouble. What was written is found out by the next call.
            FatalError: another bot writes these books.
        """

        async def decide(change: Change) -> Cut:
            revision, halt, (seconds, microseconds) = change.found
            if revision in self._unsettled:
                return self._unsettled[revision]
            self._check(revision)
            now = int(seconds) + int(microseconds) / 1e6
            cut = make(Moment(_reason(halt), now))
            self._tries += 1
            mine = f"{self._run}:{self._tries}".encode()
            self._unsettled[mine] = cut
            known = {} if revision is None else self._saved
            for command in self._commands(cut, known):
                change.write(*command)
            change.write("HSET", BOOKS, "revision", mine, "data", cut.books)
            return cut

        reads: list[Command] = [("HGET", BOOKS, "revision"), ("GET", HALT), ("TIME",)]
        cut = await transact(self._redis, [BOOKS, HALT], reads, decide)
        self._unsettled.clear()
        self._saved = cut.positions
        self._written = True
        return cut

    def _check(self, revision: bytes | None) -> None:
        """Are these still our books? A Redis that forgot, or went back, is given them again."""
        if revision is None:
            if self._written:
                log.warning("books_gone", key=BOOKS, action="written again")
        elif revision != self._loaded and not revision.startswith(self._run.encode()):
            raise FatalError(
                f"{BOOKS} was written by another bot meanwhile; want one bot for one Redis"
            )

    def _commands(self, cut: Cut, known: Mapping[str, Position]) -> list[Command]:
        commands: list[Command] = [
            ("XADD", stream, "*", "data", data) for stream, data in cut.commands
        ]
        commands += [
            ("XADD", stream, "MAXLEN", "~", self._maxlen, "*", "data", data)
            for stream, data in cut.events
        ]
        changed = [
            word
            for stream, position in cut.positions.items()
            if known.get(stream) != position
            for word in (stream, str(position))
        ]
        if changed:
            commands.append(("HSET", POSITIONS, *changed))
        if cut.heartbeat:
            commands.append(("SET", HEARTBEAT, int(cut.moment.now * 1000)))
        return commands


def _reason(halt: bytes | None) -> str | None:
    return None if halt is None else halt.decode("utf-8", "replace") or "no reason given"
