"""Streams as Redis 7 keeps them, with consumer groups: one type of `redis_engine`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import ResponseError

Id = tuple[int, int]
T = TypeVar("T")
FIRST: Id = (0, 0)
LAST: Id = (2**64 - 1, 2**64 - 1)
# XAUTOCLAIM looks at so many entries for each that it may return.
LOOKS = 10


class Pending(NamedTuple):
    """Who has an entry, since when (milliseconds), and how often it was delivered."""

    consumer: bytes
    since: int
    times: int


@dataclass
class Group:
    """A consumer group. `pending` is kept in the order of ids when it is read."""

    delivered: Id
    pending: dict[Id, Pending] = field(default_factory=dict)
    consumers: set[bytes] = field(default_factory=set)

    def copy(self) -> "Group":
        """This group, to come back to."""
        return Group(self.delivered, dict(self.pending), set(self.consumers))


@dataclass
class Stream:
    """One stream."""

    entries: dict[Id, list[bytes]] = field(default_factory=dict)
    last_id: Id = FIRST
    groups: dict[bytes, Group] = field(default_factory=dict)

    def copy(self) -> "Stream":
        """This stream, to come back to."""
        groups = {name: group.copy() for name, group in self.groups.items()}
        return Stream(dict(self.entries), self.last_id, groups)

    def after(self, position: Id, count: int | None = None) -> list[Any]:
        """Entries behind *position*, oldest first."""
        if position >= self.last_id:
            return []
        found = [(i, fields) for i, fields in self.entries.items() if i > position]
        return found[:count]

    def group(self, name: bytes) -> Group:
        """The group of that name."""
        try:
            return self.groups[name]
        except KeyError:
            raise ResponseError("NOGROUP No such key or consumer group") from None


def parse_id(text: bytes, sequence: int = 0) -> Id:
    """An entry id; *sequence* where it names none."""
    milliseconds, dash, rest = text.partition(b"-")
    return int(milliseconds), int(rest) if dash else sequence


def show_id(entry_id: Id) -> bytes:
    """An entry id, as Redis writes it."""
    return b"%d-%d" % entry_id


def _shown(entries: list[Any]) -> list[Any]:
    return [[show_id(entry_id), fields] for entry_id, fields in entries]


class Ask(NamedTuple):
    """What a stream's command works on. `get` reads a stream; with True it makes one."""

    get: Callable[[bytes, bool], Stream | None]
    now: int


class Blocked(NamedTuple):
    """A read that found nothing, and waits so many milliseconds for it."""

    milliseconds: int


def _options(args: list[bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The options up to STREAMS, and what follows it."""
    options: dict[bytes, bytes] = {}
    words = iter(args)
    for word in words:
        name = word.upper()
        if name == b"STREAMS":
            break
        options[name] = b"" if name == b"NOACK" else next(words)
    return options, list(words)


def _per_stream(rest: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    half = len(rest) // 2
    return zip(rest[:half], rest[half:], strict=True)


def xadd(ask: Ask, key: bytes, *args: bytes) -> bytes:
    """XADD key [MAXLEN|MINID [~|=] threshold] id field value …; nearly-trimming trims nothing."""
    words = list(args)
    limit: tuple[bytes, bytes] | None = None
    if words[0].upper() in (b"MAXLEN", b"MINID"):
        kind = words.pop(0).upper()
        exact = words.pop(0) if words[0] in (b"~", b"=") else b"="
        threshold = words.pop(0)
        limit = (kind, threshold) if exact == b"=" else None
    wanted, fields = words[0], words[1:]
    stream = ask.get(key, True)
    assert stream is not None
    last = stream.last_id
    if wanted == b"*":
        entry_id = max((ask.now, 0), (last[0], last[1] + 1))
    else:
        entry_id = parse_id(wanted)
        if entry_id <= last:
            raise ResponseError(
                "The ID specified in XADD is equal or smaller than the target stream top item"
            )
    stream.entries[entry_id] = fields
    stream.last_id = entry_id
    if limit is not None:
        _trim(stream, *limit)
    return show_id(entry_id)


def _trim(stream: Stream, kind: bytes, threshold: bytes) -> int:
    if kind == b"MAXLEN":
        gone = list(stream.entries)[: max(0, len(stream.entries) - int(threshold))]
    else:
        least = parse_id(threshold)
        gone = [entry_id for entry_id in stream.entries if entry_id < least]
    for entry_id in gone:
        del stream.entries[entry_id]
    return len(gone)


def xtrim(ask: Ask, key: bytes, kind: bytes, *args: bytes) -> int:
    """XTRIM key MAXLEN|MINID [~|=] threshold."""
    stream = ask.get(key, False)
    if stream is None or args[0] == b"~":
        return 0
    return _trim(stream, kind.upper(), args[-1])


def xlen(ask: Ask, key: bytes) -> int:
    """XLEN key."""
    stream = ask.get(key, False)
    return len(stream.entries) if stream else 0


def xdel(ask: Ask, key: bytes, *ids: bytes) -> int:
    """XDEL key id ..."""
    stream = ask.get(key, False)
    gone = [stream.entries.pop(parse_id(i), None) for i in ids] if stream else []
    return sum(fields is not None for fields in gone)


def _bound(text: bytes, *, low: bool) -> tuple[Id, bool]:
    """One end of a range, and whether it is left out."""
    if text in (b"-", b"+"):
        return (FIRST if text == b"-" else LAST), False
    exclusive = text.startswith(b"(")
    return parse_id(text[exclusive:], 0 if low else LAST[1]), exclusive


def _range(stream: Stream | None, low: bytes, high: bytes) -> list[Any]:
    if stream is None:
        return []
    first, without_first = _bound(low, low=True)
    last, without_last = _bound(high, low=False)
    return [
        (i, fields)
        for i, fields in stream.entries.items()
        if first <= i <= last and not (without_first and i == first)
        if not (without_last and i == last)
    ]


def xrange(ask: Ask, key: bytes, low: bytes, high: bytes, *count: bytes) -> list[Any]:
    """XRANGE key start end [COUNT n]."""
    found = _range(ask.get(key, False), low, high)
    return _shown(found[: int(count[1])] if count else found)


def xrevrange(ask: Ask, key: bytes, high: bytes, low: bytes, *count: bytes) -> list[Any]:
    """XREVRANGE key end start [COUNT n]."""
    found = _range(ask.get(key, False), low, high)[::-1]
    return _shown(found[: int(count[1])] if count else found)


def xread(ask: Ask, *args: bytes) -> Any:
    """XREAD [COUNT n] [BLOCK ms] STREAMS key … id ..."""
    options, rest = _options(list(args))
    count = int(options[b"COUNT"]) if b"COUNT" in options else None
    found = []
    for key, position in _per_stream(rest):
        stream = ask.get(key, False)
        if stream is not None and (new := stream.after(parse_id(position), count)):
            found.append([key, _shown(new)])
    return found or _nothing(options)


def _nothing(options: dict[bytes, bytes]) -> Blocked | None:
    return Blocked(int(options[b"BLOCK"])) if b"BLOCK" in options else None


def xgroup(ask: Ask, action: bytes, key: bytes, name: bytes, *args: bytes) -> Any:
    """XGROUP CREATE key group id [MKSTREAM] | DESTROY key group."""
    stream = ask.get(key, b"MKSTREAM" in (word.upper() for word in args))
    if stream is None:
        raise ResponseError("The XGROUP subcommand requires the key to exist.")
    if action.upper() == b"DESTROY":
        return int(stream.groups.pop(name, None) is not None)
    if name in stream.groups:
        raise ResponseError("BUSYGROUP Consumer Group name already exists")
    stream.groups[name] = Group(stream.last_id if args[0] == b"$" else parse_id(args[0]))
    return b"OK"


def xreadgroup(ask: Ask, _: bytes, name: bytes, consumer: bytes, *args: bytes) -> Any:
    """XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] STREAMS key … id ..."""
    options, rest = _options(list(args))
    count = int(options[b"COUNT"]) if b"COUNT" in options else None
    found, history = [], False
    groups = [(key, position, _grouped(ask, key, name)) for key, position in _per_stream(rest)]
    for key, position, (stream, group) in groups:
        group.consumers.add(consumer)
        if position != b">":
            history = True
            found.append([key, _own(stream, group, consumer, parse_id(position), count, ask.now)])
        elif new := stream.after(group.delivered, count):
            for entry_id, _fields in new:
                group.pending[entry_id] = Pending(consumer, ask.now, 1)
            group.delivered = new[-1][0]
            found.append([key, _shown(new)])
    return found or (None if history else _nothing(options))


def _grouped(ask: Ask, key: bytes, name: bytes) -> tuple[Stream, Group]:
    stream = ask.get(key, False)
    if stream is None or name not in stream.groups:
        raise ResponseError(
            f"NOGROUP No such key '{key.decode()}' or consumer group '{name.decode()}' in "
            "XREADGROUP with GROUP option"
        )
    return stream, stream.groups[name]


def _own(
    stream: Stream, group: Group, consumer: bytes, position: Id, count: int | None, now: int
) -> list[Any]:
    """What *consumer* has behind *position*; what was deleted has no fields."""
    own = sorted(i for i, p in group.pending.items() if p.consumer == consumer and i > position)
    for entry_id in (i for i in own[:count] if i in stream.entries):
        group.pending[entry_id] = Pending(consumer, now, group.pending[entry_id].times + 1)
    return [[show_id(i), stream.entries.get(i)] for i in own[:count]]


def xautoclaim(
    ask: Ask, key: bytes, name: bytes, consumer: bytes, idle: bytes, start: bytes, *args: bytes
) -> list[Any]:
    """XAUTOCLAIM key group consumer min-idle-time start [COUNT n]."""
    stream, group = _grouped(ask, key, name)
    count = int(args[1]) if args else 100
    group.consumers.add(consumer)
    taken: list[Any] = []
    deleted: list[bytes] = []
    looks = count * LOOKS
    left = sorted(i for i in group.pending if i >= parse_id(start))
    cursor = FIRST
    for entry_id in left:
        if looks == 0 or len(taken) + len(deleted) == count:
            cursor = entry_id
            break
        looks -= 1
        pending = group.pending[entry_id]
        if entry_id not in stream.entries:
            del group.pending[entry_id]
            deleted.append(show_id(entry_id))
        elif ask.now - pending.since >= int(idle):
            group.pending[entry_id] = Pending(consumer, ask.now, pending.times + 1)
            taken.append([show_id(entry_id), stream.entries[entry_id]])
    return [show_id(cursor), taken, deleted]


def xack(ask: Ask, key: bytes, name: bytes, *ids: bytes) -> int:
    """XACK key group id ..."""
    stream = ask.get(key, False)
    if stream is None or name not in stream.groups:
        return 0
    pending = stream.groups[name].pending
    return sum(pending.pop(parse_id(i), None) is not None for i in ids)


def xpending(ask: Ask, key: bytes, name: bytes, *args: bytes) -> list[Any]:
    """XPENDING key group [start end count]."""
    _, group = _grouped(ask, key, name)
    ids = sorted(group.pending)
    if not args:
        per: dict[bytes, int] = {}
        for entry_id in ids:
            consumer = group.pending[entry_id].consumer
            per[consumer] = per.get(consumer, 0) + 1
        if not ids:
            return [0, None, None, None]
        counts = [[consumer, b"%d" % per[consumer]] for consumer in sorted(per)]
        return [len(ids), show_id(ids[0]), show_id(ids[-1]), counts]
    first, last = _bound(args[0], low=True)[0], _bound(args[1], low=False)[0]
    shown = [i for i in ids if first <= i <= last][: int(args[2])]
    found = [(i, group.pending[i]) for i in shown]
    return [[show_id(i), p.consumer, ask.now - p.since, p.times] for i, p in found]


def xinfo(ask: Ask, what: bytes, key: bytes) -> list[Any]:
    """XINFO GROUPS key."""
    stream = ask.get(key, False)
    if stream is None:
        raise ResponseError("no such key")
    assert what.upper() == b"GROUPS"
    return [
        [
            *(b"name", name),
            *(b"consumers", len(group.consumers)),
            *(b"pending", len(group.pending)),
            *(b"last-delivered-id", show_id(group.delivered)),
            *(b"entries-read", None),
            *(b"lag", len(stream.after(group.delivered))),
        ]
        for name, group in sorted(stream.groups.items())
    ]


READS: dict[bytes, Callable[..., Any]] = {
    b"XLEN": xlen,
    b"XRANGE": xrange,
    b"XREVRANGE": xrevrange,
    b"XREAD": xread,
    b"XPENDING": xpending,
    b"XINFO": xinfo,
}
WRITES: dict[bytes, Callable[..., Any]] = {
    b"XADD": xadd,
    b"XTRIM": xtrim,
    b"XDEL": xdel,
    b"XGROUP": xgroup,
    b"XREADGROUP": xreadgroup,
    b"XAUTOCLAIM": xautoclaim,
    b"XACK": xack,
}
