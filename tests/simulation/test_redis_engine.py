"""The simulated Redis does what a real one does, command by command."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import RedisError

from services._local.redis_server import RedisServer
from services._runtime.redis_client import open_redis
from services._runtime.redis_commands import Argument, ask
from tests.simulation.redis_engine import Engine, Session
from tests.simulation.redis_streams import Blocked

STEPS = 1500
Command = tuple[Argument, ...]


class Random:
    """Draws commands on few keys: most of them meet something."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._last = 0

    def commands(self) -> list[Command]:
        """One command; or a few that belong together."""
        kinds: list[Callable[[], list[Command]]] = [
            self.text,
            self.hash,
            self.set,
            self.sorted_set,
            self.entry,
            self.group,
            self.group,
            self.look,
            self.transaction,
        ]
        return self.rng.choice(kinds)()

    def some(self, names: str) -> str:
        """One of the letters of *names*."""
        return self.rng.choice(names)

    def one(self, *commands: Command) -> list[Command]:
        """One of *commands*."""
        return [self.rng.choice(commands)]

    def text(self) -> list[Command]:
        """Strings, their time to live, and keys of any type."""
        key, value = "text" + self.some("ab"), self.some("xyz")
        any_key = self.rng.choice((key, "hash", "set", "sorted", "stream", "none"))
        return self.one(
            ("SET", key, value),
            ("SET", key, value, "NX", "GET"),
            ("SET", key, value, "NX", "PX", 100_000),
            ("SET", key, value, "XX", "KEEPTTL"),
            ("SET", key, value, "EX", 100),
            ("GET", key),
            ("GET", any_key),
            ("MGET", "texta", "textb", "none"),
            ("EXISTS", any_key, key),
            ("DEL", any_key) if self.rng.random() < 0.2 else ("DEL", key),
            ("EXPIRE", key, 100),
            ("PEXPIRE", key, self.rng.choice((100_000, 0, -1))),
            ("PERSIST", key),
        )

    def hash(self) -> list[Command]:
        """Hashes."""
        name = self.some("fgh")
        return self.one(
            ("HSET", "hash", name, self.some("xyz"), self.some("fgh"), "2"),
            ("HGET", "hash", name),
            ("HMGET", "hash", "f", "g"),
            ("HDEL", "hash", name, "h"),
            ("HGETALL", "hash"),
            ("HKEYS", "hash"),
            ("HLEN", "hash"),
        )

    def set(self) -> list[Command]:
        """Sets."""
        member = self.some("mno")
        return self.one(
            ("SADD", "set", member, self.some("mno")),
            ("SREM", "set", member),
            ("SISMEMBER", "set", member),
            ("SMEMBERS", "set"),
            ("SCARD", "set"),
        )

    def sorted_set(self) -> list[Command]:
        """Sorted sets."""
        member, score = self.some("stu"), self.rng.choice((1, 2, 3, "2.5"))
        low, high = self.rng.choice(("-inf", 1, "(2")), self.rng.choice(("+inf", 2, "(3"))
        return self.one(
            ("ZADD", "sorted", score, member),
            ("ZADD", "sorted", "NX", score, member, 2, "t"),
            ("ZADD", "sorted", "XX", score, member),
            ("ZREM", "sorted", member, "u"),
            ("ZADD", "sorted2", score, member),
            ("ZINTERCARD", 2, "sorted", "sorted2"),
            ("ZCOUNT", "sorted", low, high),
            ("ZSCORE", "sorted", member),
            ("ZCARD", "sorted"),
            ("ZRANGE", "sorted", 0, -1),
            ("ZRANGE", "sorted", 0, 1, "WITHSCORES"),
            ("ZRANGE", "sorted", low, high, "BYSCORE"),
            ("ZRANGEBYSCORE", "sorted", low, high),
            ("ZREMRANGEBYSCORE", "sorted", low, 1),
        )

    def entry_id(self) -> str:
        """An id that there may be."""
        return f"{self.rng.randint(0, self._last + 1)}-0"

    def entry(self) -> list[Command]:
        """Streams without groups."""
        self._last += 1
        wanted = f"{self._last}-0"
        return self.one(
            ("XADD", "stream", wanted, "data", self.some("xyz")),
            ("XADD", "stream", wanted, "data", "x"),
            ("XADD", "stream", "MAXLEN", "~", 100, wanted, "data", "x"),
            ("XADD", "stream", "MAXLEN", 30, wanted, "data", "x"),
            ("XADD", "stream", self.entry_id(), "data", "x"),
            ("XDEL", "stream", self.entry_id()) if self.rng.random() < 0.3 else ("TYPE_",),
            ("XTRIM", "stream", "MINID", "=", self.entry_id())
            if self.rng.random() < 0.1
            else ("XLEN", "stream"),
        )

    def look(self) -> list[Command]:
        """Reading of streams."""
        low, high = self.rng.choice(("-", self.entry_id())), self.rng.choice(("+", self.entry_id()))
        return self.one(
            ("XLEN", "stream"),
            ("XRANGE", "stream", low, high),
            ("XRANGE", "stream", f"({self.entry_id()}", high, "COUNT", 2),
            ("XREVRANGE", "stream", high, low, "COUNT", 3),
            ("XREVRANGE", "none", "+", "-"),
            ("XREAD", "COUNT", 3, "STREAMS", "stream", "none", self.entry_id(), "0"),
            ("XPENDING", "stream", "group"),
            ("XPENDING", "stream", "group", "-", "+", 5),
            ("XINFO", "GROUPS", "stream"),
        )

    def group(self) -> list[Command]:
        """Consumer groups."""
        consumer = self.rng.choice(("one", "other"))
        read = ("XREADGROUP", "GROUP", "group", consumer, "COUNT")
        return self.one(
            ("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM"),
            (*read, 2, "STREAMS", "stream", ">"),
            (*read, 3, "STREAMS", "stream", ">"),
            (*read, 2, "STREAMS", "stream", "second", ">", ">"),
            (*read, 2, "STREAMS", "stream", self.rng.choice(("0", self.entry_id()))),
            ("XAUTOCLAIM", "stream", "group", consumer, self.rng.choice((0, 100_000)), "0-0"),
            ("XAUTOCLAIM", "stream", "group", consumer, 0, self.entry_id(), "COUNT", 1),
            ("XACK", "stream", "group", self.entry_id()),
            ("XACK", "none", "group", "1-0"),
        )

    def transaction(self) -> list[Command]:
        """WATCH, perhaps a change of what is watched, and MULTI."""
        inner = [c for c in (*self.text(), *self.hash(), *self.set()) if c[0] != "PEXPIRE"]
        between = self.commands() if self.rng.random() < 0.5 else []
        if any(c[0] in ("MULTI", "WATCH") for c in between):
            between = []
        watched = ("WATCH", "texta", "hash", "set", "stream", "sorted")
        end = self.rng.choice((("EXEC",), ("EXEC",), ("DISCARD",)))
        if self.rng.random() < 0.2:
            return [watched, *between, ("UNWATCH",)]
        return [watched, *between, ("MULTI",), *inner, end]


def packed(command: Command) -> tuple[bytes, ...]:
    """As it comes to the server."""
    return tuple(w if isinstance(w, bytes) else str(w).encode() for w in command)


def comparable(command: Command, reply: Any) -> Any:
    """A reply without what depends on the real clock, or on no order in particular."""
    if isinstance(reply, Exception):
        return str(reply).split(" ")[0]
    if reply and command[0] == "SMEMBERS":
        return sorted(reply, key=repr)
    if reply and command[0] == "XPENDING" and len(command) > 3:
        return [[i, consumer, times] for i, consumer, _, times in reply]
    if reply and command[0] == "XINFO":  # once entries were removed, the lag may be unknown
        return [group[:8] for group in reply]
    if command[0] == "EXEC" and reply is not None:
        return [comparable(("SMEMBERS",) if isinstance(r, list) else ("",), r) for r in reply]
    return reply


@pytest.mark.parametrize("seed", range(6))
async def test_it_replies_as_a_real_server_does(redis_server: RedisServer, seed: int) -> None:
    """The same random commands on both: the same replies, errors and transactions that fail."""
    engine, session = Engine(lambda: 0), Session()
    draw = Random(random.Random(seed))
    async with open_redis(redis_server.url, "test", single=True) as redis:
        await redis.initialize()
        real = None
        for _ in range(STEPS):
            for command in draw.commands():
                if command == ("TYPE_",):
                    continue
                try:
                    real = await ask(redis.connection, *command)
                except RedisError as e:
                    real = e
                ours = engine.execute(session, packed(command))
                assert comparable(command, ours) == comparable(command, real), command
        assert engine.keys() == sorted(await redis.keys())


def test_what_expires_is_gone_when_its_time_has_come() -> None:
    """By the clock that it is given; and what was watched counts as changed."""
    now = 0
    engine, session, other = Engine(lambda: now), Session(), Session()
    engine.execute(other, packed(("SET", "a", "x", "PX", 50)))
    engine.execute(session, packed(("WATCH", "a")))
    now = 49
    assert engine.execute(other, packed(("GET", "a"))) == b"x"
    assert engine.execute(other, packed(("PTTL", "a"))) == 1
    now = 50
    assert engine.execute(other, packed(("GET", "a"))) is None
    engine.execute(session, packed(("MULTI",)))
    engine.execute(session, packed(("SET", "b", "x")))
    assert engine.execute(session, packed(("EXEC",))) is None
    assert engine.execute(other, packed(("EXISTS", "a", "b"))) == 0


def test_entries_get_ids_by_the_clock_that_never_go_back() -> None:
    """Where the clock steps back, the sequence goes on."""
    now = 1000
    engine, session = Engine(lambda: now), Session()
    add = packed(("XADD", "s", "*", "data", "x"))
    assert [engine.execute(session, add) for _ in range(2)] == [b"1000-0", b"1000-1"]
    now = 900
    assert engine.execute(session, add) == b"1000-2"
    now = 1001
    assert engine.execute(session, add) == b"1001-0"


def test_a_read_that_finds_nothing_says_how_long_it_waits() -> None:
    """Whoever holds the connection waits; the engine can't."""
    engine, session = Engine(lambda: 0), Session()
    engine.execute(session, packed(("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")))
    read = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 2000, "STREAMS", "s", ">")
    assert engine.execute(session, packed(read)) == Blocked(2000)


def test_a_state_that_was_kept_comes_back_whole() -> None:
    """Whatever was done since; and as often as it is asked for."""
    engine, session = Engine(lambda: 0), Session()
    for command in (
        ("SET", "text", "x"),
        ("HSET", "hash", "f", "1"),
        ("SADD", "set", "m"),
        ("ZADD", "sorted", "1", "m"),
        ("XADD", "stream", "1-0", "data", "x"),
        ("XGROUP", "CREATE", "stream", "g", "0"),
    ):
        engine.execute(session, packed(command))
    kept = engine.snapshot()
    changes: list[Command] = [
        ("DEL", "text"),
        ("HSET", "hash", "f", "2"),
        ("SADD", "set", "n"),
        ("ZADD", "sorted", "2", "m"),
        ("XADD", "stream", "2-0", "data", "x"),
        ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "stream", ">"),
    ]
    for _ in range(2):
        for change in changes:
            engine.execute(Session(), packed(change))
        engine.restore(kept)
        assert engine.execute(Session(), packed(("GET", "text"))) == b"x"
        assert engine.execute(Session(), packed(("HGET", "hash", "f"))) == b"1"
        assert engine.execute(Session(), packed(("SMEMBERS", "set"))) == [b"m"]
        assert engine.execute(Session(), packed(("ZSCORE", "sorted", "m"))) == b"1"
        assert engine.execute(Session(), packed(("XLEN", "stream"))) == 1
        assert engine.execute(Session(), packed(("XPENDING", "stream", "g")))[0] == 0
