"""Who loses what when the buffer is full."""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services._runtime.stream_writer.buffer_eviction import evict, log_dropped


@dataclass
class Stream:
    """Entries that wait."""

    name: str
    waiting: deque[bytes] = field(default_factory=deque)
    keep_all: bool = True
    dropped: int = 0
    dropped_logged: int = 0


def stream(name: str, *entries: bytes, keep_all: bool = True) -> Stream:
    """A stream with *entries* waiting."""
    return Stream(name, deque(entries), keep_all)


def test_quotes_go_before_any_trade() -> None:
    """They are old by the time they could be written."""
    quote, trades = stream("ticker", b"12345", keep_all=False), stream("trades", b"1", b"2")
    assert evict([trades, quote], 1) == 5
    assert (quote.dropped, trades.dropped) == (1, 0)


def test_a_busy_stream_pays_and_a_quiet_one_keeps_its_only_trade() -> None:
    """Whoever adds the entry that is too much: the oldest of the longest queue goes."""
    quiet, busy = stream("quiet", b"only"), stream("busy", *[b"%04d" % n for n in range(100)])
    assert evict([quiet, busy], 40) == 40
    assert (quiet.dropped, busy.dropped) == (0, 10)
    assert busy.waiting[0] == b"0010"


def test_when_nothing_waits_nothing_goes() -> None:
    """There is no more room to be had."""
    assert evict([stream("trades")], 1) == 0


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=9), max_size=20), min_size=1),
    st.integers(0, 500),
)
def test_what_is_kept_is_the_newest_of_each_stream_and_nothing_goes_uncounted(
    queues: list[list[bytes]], wanted: int
) -> None:
    """As much is freed as was wanted, or all of it."""
    streams = [stream(str(n), *entries) for n, entries in enumerate(queues)]
    freed = evict(streams, wanted)
    left = sum(len(entry) for each in streams for entry in each.waiting)
    assert freed >= wanted or left == 0
    for each, entries in zip(streams, queues, strict=True):
        assert list(each.waiting) == entries[each.dropped :]


def test_the_first_drop_is_logged_at_once_and_the_sum_at_the_end() -> None:
    """Not a line for each entry; and a second outage is told like the first."""
    trades = stream("trades", *[b"1"] * 10)
    for start in (0, 5):
        with capture_logs() as logs:
            evict([trades], 5)
            log_dropped([trades])
            log_dropped([trades])
        assert [(line["event"], line.get("entries")) for line in logs] == [
            ("buffer_full", None),
            ("entries_dropped", 5),
        ]
        assert logs[1]["since_start"] == start + 5
