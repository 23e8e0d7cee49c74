"""A Redis in memory, at the level of its commands, whose time is whatever it is told.

It has the commands that the order path uses, as Redis 7 carries them out; nothing goes wrong here.
Values are bytes, dicts (hashes), sets, dicts of floats (sorted sets) and streams.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from tests.simulation import redis_streams
from tests.simulation.redis_streams import Ask, Blocked, Stream

T = TypeVar("T")
Args = tuple[bytes, ...]


class SortedSet(dict[bytes, float]):
    """Members and their scores."""

    def copy(self) -> "SortedSet":
        """This set, to come back to."""
        return SortedSet(self)

    def in_order(self) -> list[bytes]:
        """The members by score, then by name."""
        return sorted(self, key=lambda member: (self[member], member))


@dataclass
class Session:
    """What one connection has begun: keys that it watches, commands that it queues."""

    watched: dict[bytes, int] = field(default_factory=dict)
    queued: list[Args] | None = None


class Engine:
    """All keys of one server. `milliseconds` is its clock."""

    def __init__(self, milliseconds: Callable[[], int], identity: str = "run 0") -> None:
        self.identity = identity
        self._milliseconds = milliseconds
        self._values: dict[bytes, Any] = {}
        self._expires: dict[bytes, int] = {}
        self._changes: Counter[bytes] = Counter()
        self.added: set[bytes] = set()  # streams that got an entry since this was emptied

    # --- what happens to it as a whole

    def snapshot(self) -> "tuple[dict[bytes, Any], dict[bytes, int]]":
        """This very state, to come back to."""
        values = {k: v if type(v) is bytes else v.copy() for k, v in self._values.items()}
        return values, dict(self._expires)

    def restore(
        self, state: tuple[dict[bytes, Any], dict[bytes, int]], keep: bytes | None = None
    ) -> None:
        """Come back to a state, which is kept as it was.

        Streams whose name holds *keep* have their entries of now, with the groups of then.
        """
        self._changes.update([*self._values, *state[0]])
        now, (self._values, self._expires) = self._values, state
        self._values, self._expires = self.snapshot()
        for key, stream in now.items():
            if keep is not None and keep in key and isinstance(stream, Stream):
                kept = self._values.setdefault(key, Stream())
                kept.entries, kept.last_id = stream.entries, stream.last_id

    def stream(self, name: str) -> Stream | None:
        """The stream of that name, to look at."""
        return self._of(name.encode(), Stream)

    # --- commands

    def execute(self, session: Session, args: Args) -> Any:
        """One command; the reply, which is a ResponseError where Redis refuses it."""
        name = args[0].upper()
        try:
            if name == b"EXEC":
                return self._exec(session)
            if name in (b"MULTI", b"DISCARD", b"WATCH", b"UNWATCH"):
                return self._session_command(session, name, args[1:])
            if session.queued is not None:
                session.queued.append(args)
                return b"QUEUED"
            return self._run(name, args[1:])
        except ResponseError as e:
            return e

    def _session_command(self, session: Session, name: bytes, keys: Args) -> bytes:
        if name == b"MULTI":
            session.queued = []
        elif name == b"WATCH":
            for key in keys:
                self._drop_expired(key)
                session.watched.setdefault(key, self._changes[key])
        else:
            session.watched.clear()
            if name == b"DISCARD":
                session.queued = None
        return b"OK"

    def _exec(self, session: Session) -> list[Any] | None:
        queued, watched = session.queued or [], session.watched
        session.queued, session.watched = None, {}
        for key in watched:
            self._drop_expired(key)
        if any(self._changes[key] != seen for key, seen in watched.items()):
            return None
        plain = Session()
        replies = [self.execute(plain, args) for args in queued]
        return [None if isinstance(reply, Blocked) else reply for reply in replies]

    def _run(self, name: bytes, args: Args) -> Any:
        if name in redis_streams.READS:
            return redis_streams.READS[name](self._ask(), *args)
        if name in redis_streams.WRITES:
            reply = redis_streams.WRITES[name](self._ask(), *args)
            if reply and name in (b"XADD", b"XTRIM", b"XDEL"):  # groups aren't watched
                self._touch(args[0])
                self.added.add(args[0])
            return reply
        return _COMMANDS[name](self, *args)

    def _ask(self) -> Ask:
        return Ask(self._stream, self._milliseconds())

    def _stream(self, key: bytes, make: bool) -> Stream | None:
        return self._of(key, Stream, make=make)

    # --- keys

    def _drop_expired(self, key: bytes) -> None:
        if key in self._expires and self._expires[key] <= self._milliseconds():
            self._remove(key)

    def _touch(self, key: bytes) -> None:
        self._changes[key] += 1

    def _remove(self, key: bytes) -> bool:
        self._expires.pop(key, None)
        gone = self._values.pop(key, None) is not None
        if gone:
            self._touch(key)
        return gone

    def _of(self, key: bytes, kind: type[T], *, make: bool = False) -> T | None:
        """The value of that key, of that kind."""
        if self._expires:
            self._drop_expired(key)
        value = self._values.get(key)
        if value is None:
            if make:
                value = self._values[key] = kind()
                self._touch(key)
        elif type(value) is not kind:
            raise ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _changed(self, key: bytes, value: Any) -> None:
        """Note that *key* changed; what became empty is gone."""
        self._touch(key)
        if not value:
            self._remove(key)

    def get(self, key: bytes) -> bytes | None:
        """GET key."""
        return self._of(key, bytes)

    def set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        """SET key value [NX|XX] [GET] [EX s|PX ms|KEEPTTL]."""
        words = [option.upper() for option in options]
        before = self.get(key)
        done = not (b"NX" in words and before is not None)
        done = done and not (b"XX" in words and before is None)
        if done:
            self._values[key] = value
            self._touch(key)
            if b"KEEPTTL" not in words:
                self._expires.pop(key, None)
            for unit, factor in ((b"EX", 1000), (b"PX", 1)):
                if unit in words:
                    lasts = int(options[words.index(unit) + 1]) * factor
                    self._expires[key] = self._milliseconds() + lasts
        if b"GET" in words:
            return before
        return b"OK" if done else None

    def mget(self, *keys: bytes) -> list[bytes | None]:
        """MGET key ..."""
        return [self.get(key) for key in keys]

    def delete(self, *keys: bytes) -> int:
        """DEL key ..."""
        for key in keys:
            self._drop_expired(key)
        return sum(self._remove(key) for key in keys)

    def exists(self, *keys: bytes) -> int:
        """EXISTS key ..."""
        for key in keys:
            self._drop_expired(key)
        return sum(key in self._values for key in keys)

    def pexpire(self, key: bytes, lasts: bytes, *_: bytes) -> int:
        """PEXPIRE key ms."""
        if not self.exists(key):
            return 0
        self._expires[key] = self._milliseconds() + int(lasts)
        self._touch(key)
        return 1

    def expire(self, key: bytes, lasts: bytes, *_: bytes) -> int:
        """EXPIRE key s."""
        return self.pexpire(key, b"%d" % (int(lasts) * 1000))

    def persist(self, key: bytes) -> int:
        """PERSIST key."""
        if not self.exists(key) or self._expires.pop(key, None) is None:
            return 0
        self._touch(key)
        return 1

    def pttl(self, key: bytes) -> int:
        """PTTL key."""
        if not self.exists(key):
            return -2
        until = self._expires.get(key)
        return -1 if until is None else until - self._milliseconds()

    def keys(self, pattern: bytes = b"*") -> list[bytes]:
        """KEYS, of all; or of those that begin as *pattern* does, which ends in `*`."""
        for key in list(self._expires):
            self._drop_expired(key)
        return sorted(key for key in self._values if key.startswith(pattern.rstrip(b"*")))

    # --- hashes

    def hset(self, key: bytes, *pairs: bytes) -> int:
        """HSET key field value ..."""
        found: dict[bytes, bytes] = self._of(key, dict, make=True) or self._values[key]
        before = len(found)
        found.update(zip(pairs[::2], pairs[1::2], strict=True))
        self._touch(key)
        return len(found) - before

    def hget(self, key: bytes, name: bytes) -> bytes | None:
        """HGET key field."""
        return (self._of(key, dict) or {}).get(name)

    def hmget(self, key: bytes, *names: bytes) -> list[bytes | None]:
        """HMGET key field ..."""
        return [self.hget(key, name) for name in names]

    def hgetall(self, key: bytes) -> list[bytes]:
        """HGETALL key."""
        found = self._of(key, dict) or {}
        return [word for pair in found.items() for word in pair]

    def hlen(self, key: bytes) -> int:
        """HLEN key."""
        return len(self._of(key, dict) or ())

    def hkeys(self, key: bytes) -> list[bytes]:
        """HKEYS key."""
        return list(self._of(key, dict) or ())

    def hdel(self, key: bytes, *names: bytes) -> int:
        """HDEL key field ..."""
        found = self._of(key, dict)
        if found is None:
            return 0
        gone = sum(found.pop(name, None) is not None for name in names)
        if gone:
            self._changed(key, found)
        return gone

    # --- sets

    def sadd(self, key: bytes, *members: bytes) -> int:
        """SADD key member ..."""
        found = self._of(key, set, make=True)
        assert found is not None
        before = len(found)
        found.update(members)
        if len(found) > before:
            self._touch(key)
        return len(found) - before

    def srem(self, key: bytes, *members: bytes) -> int:
        """SREM key member ..."""
        found = self._of(key, set)
        if found is None:
            return 0
        before = len(found)
        found.difference_update(members)
        if len(found) < before:
            self._changed(key, found)
            return before - len(found)
        return 0

    def smembers(self, key: bytes) -> list[bytes]:
        """SMEMBERS key, in order."""
        return sorted(self._of(key, set) or ())

    def scard(self, key: bytes) -> int:
        """SCARD key."""
        return len(self._of(key, set) or ())

    def sismember(self, key: bytes, member: bytes) -> int:
        """SISMEMBER key member."""
        return int(member in (self._of(key, set) or ()))

    # --- sorted sets

    def zadd(self, key: bytes, *args: bytes) -> int:
        """ZADD key [NX|XX] score member ..."""
        words = list(args)
        only = words.pop(0).upper() if words[0].upper() in (b"NX", b"XX") else b""
        found = self._of(key, SortedSet, make=True)
        assert found is not None
        before = len(found)
        for score, member in zip(words[::2], words[1::2], strict=True):
            if (only == b"NX" and member in found) or (only == b"XX" and member not in found):
                continue
            if found.get(member) != float(score):
                found[member] = float(score)
                self._touch(key)
        if not found:
            self._values.pop(key)
        return len(found) - before

    def zrem(self, key: bytes, *members: bytes) -> int:
        """ZREM key member ..."""
        found = self._of(key, SortedSet)
        if found is None:
            return 0
        gone = sum(found.pop(member, None) is not None for member in members)
        if gone:
            self._changed(key, found)
        return gone

    def zscore(self, key: bytes, member: bytes) -> bytes | None:
        """ZSCORE key member."""
        score = (self._of(key, SortedSet) or SortedSet()).get(member)
        return None if score is None else _number(score)

    def zcard(self, key: bytes) -> int:
        """ZCARD key."""
        return len(self._of(key, SortedSet) or ())

    def zcount(self, key: bytes, low: bytes, high: bytes) -> int:
        """ZCOUNT key min max."""
        return len(_between(self._of(key, SortedSet) or SortedSet(), low, high))

    def zintercard(self, count: bytes, *keys: bytes) -> int:
        """ZINTERCARD numkeys key ..., of sorted sets."""
        sets = [self._of(key, SortedSet) or SortedSet() for key in keys[: int(count)]]
        return len(set.intersection(*map(set, sets)))

    def zrange(self, key: bytes, start: bytes, stop: bytes, *options: bytes) -> list[bytes]:
        """ZRANGE key start stop [BYSCORE] [WITHSCORES]."""
        words = [option.upper() for option in options]
        found = self._of(key, SortedSet) or SortedSet()
        if b"BYSCORE" in words:
            members = _between(found, start, stop)
        else:
            last = int(stop) % len(found) if found and int(stop) < 0 else int(stop)
            members = found.in_order()[int(start) : last + 1]
        if b"WITHSCORES" not in words:
            return members
        return [word for member in members for word in (member, _number(found[member]))]

    def zrangebyscore(self, key: bytes, low: bytes, high: bytes, *options: bytes) -> list[bytes]:
        """ZRANGEBYSCORE key min max [WITHSCORES]."""
        return self.zrange(key, low, high, b"BYSCORE", *options)

    def zremrangebyscore(self, key: bytes, low: bytes, high: bytes) -> int:
        """ZREMRANGEBYSCORE key min max."""
        return self.zrem(key, *_between(self._of(key, SortedSet) or SortedSet(), low, high))

    # --- the server

    def time(self) -> list[bytes]:
        """TIME."""
        now = self._milliseconds()
        return [b"%d" % (now // 1000), b"%d" % (now % 1000 * 1000)]

    def info(self, *_: bytes) -> bytes:
        """INFO: what the order path looks at, whatever section is asked for."""
        lines = (
            f"run_id:{self.identity}",
            f"master_replid:{self.identity}",
            "used_memory:1000000",
            "maxmemory:0",
            "maxmemory_policy:noeviction",
            "aof_enabled:1",
        )
        return "\r\n".join(lines).encode()


def _number(score: float) -> bytes:
    return b"%d" % score if score == int(score) else repr(score).encode()


def _between(found: SortedSet, low: bytes, high: bytes) -> list[bytes]:
    """The members whose score lies between two bounds, which `(` leaves out."""
    first, last = float(low.lstrip(b"(")), float(high.lstrip(b"("))
    return [
        member
        for member in found.in_order()
        if first <= found[member] <= last
        if not (low.startswith(b"(") and found[member] == first)
        if not (high.startswith(b"(") and found[member] == last)
    ]


_COMMANDS: dict[bytes, Callable[..., Any]] = {
    b"GET": Engine.get,
    b"SET": Engine.set,
    b"MGET": Engine.mget,
    b"DEL": Engine.delete,
    b"EXISTS": Engine.exists,
    b"EXPIRE": Engine.expire,
    b"PEXPIRE": Engine.pexpire,
    b"PERSIST": Engine.persist,
    b"PTTL": Engine.pttl,
    b"KEYS": Engine.keys,
    b"HSET": Engine.hset,
    b"HLEN": Engine.hlen,
    b"HGET": Engine.hget,
    b"HMGET": Engine.hmget,
    b"HGETALL": Engine.hgetall,
    b"HKEYS": Engine.hkeys,
    b"HDEL": Engine.hdel,
    b"SADD": Engine.sadd,
    b"SCARD": Engine.scard,
    b"SREM": Engine.srem,
    b"SMEMBERS": Engine.smembers,
    b"SISMEMBER": Engine.sismember,
    b"ZADD": Engine.zadd,
    b"ZCOUNT": Engine.zcount,
    b"ZINTERCARD": Engine.zintercard,
    b"ZREM": Engine.zrem,
    b"ZSCORE": Engine.zscore,
    b"ZCARD": Engine.zcard,
    b"ZRANGE": Engine.zrange,
    b"ZRANGEBYSCORE": Engine.zrangebyscore,
    b"ZREMRANGEBYSCORE": Engine.zremrangebyscore,
    b"TIME": Engine.time,
    b"INFO": Engine.info,
}
