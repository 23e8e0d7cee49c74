"""What of a broken connection's entries Redis took, for any way that it can break."""

from hypothesis import given
from hypothesis import strategies as st

from services._runtime.stream_writer.write_recovery import unwritten

# Few different values, so that equal entries are common.
ENTRIES = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=12)
UNTRIMMED = 1_000


@given(arrived=ENTRIES, lost=ENTRIES)
def test_what_follows_the_break_is_missing(arrived: list[bytes], lost: list[bytes]) -> None:
    """A connection that breaks cuts the entries in two, however alike they are."""
    assert unwritten([*arrived, *lost], arrived, UNTRIMMED) == lost


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), max_size=12))
def test_what_is_sent_again_makes_up_what_was_sent(sent: list[tuple[bytes, bool]]) -> None:
    """With refusals in between too: found and missing together are what was sent."""
    everything = [entry for entry, _ in sent]
    found = [entry for entry, taken in sent if taken]
    missing = unwritten(everything, found, UNTRIMMED)
    assert sorted(found + missing) == sorted(everything)


@given(st.lists(st.integers(0, 99), unique=True, max_size=12), st.data())
def test_distinct_entries_are_matched_exactly(numbers: list[int], data: st.DataObject) -> None:
    """Those that were refused are missing, in order, and no other."""
    sent = [b"%d" % n for n in numbers]
    taken = data.draw(st.sets(st.sampled_from(sent)) if sent else st.just(set()))
    found = [entry for entry in sent if entry in taken]
    assert unwritten(sent, found, UNTRIMMED) == [entry for entry in sent if entry not in taken]


@given(count=st.integers(1, 50), arrived=st.integers(0, 50), maxlen=st.integers(1, 20))
def test_what_was_trimmed_away_is_not_missing(count: int, arrived: int, maxlen: int) -> None:
    """A stream that kept only its maximum shows the end of what arrived."""
    sent = [b"%d" % n for n in range(count)]
    arrived = min(arrived, count)
    found = sent[:arrived][-maxlen:]
    assert unwritten(sent, found, maxlen) == sent[arrived:]


@given(st.lists(st.sampled_from([b"x", b"y", b"z"])), st.integers(0, 5))
def test_entries_of_others_are_ignored(others: list[bytes], arrived: int) -> None:
    """Someone's redis-cli doesn't confuse it."""
    sent = [b"%d" % n for n in range(5)]
    found = [entry for n in range(arrived) for entry in (sent[n], *others)]
    assert unwritten(sent, found, UNTRIMMED) == sent[arrived:]
