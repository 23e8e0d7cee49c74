"""A halt that was read once ends only where somebody resumes."""

from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.orders.risk.halt_latch import NOT_READ, HaltLatch
from services._runtime.halt import NEVER_RESUMED

ANN, BOB, CAT = b"ann", b"bob", b"cat"


def reasons(*seen: tuple[bytes | None, bytes | None]) -> list[str | None]:
    """What a latch says after each reading of the two keys."""
    latch, found = HaltLatch(), []
    for trading, halt in seen:
        latch.update(trading, halt)
        found.append(latch.reason)
    return found


def test_it_is_halted_until_the_switch_was_read() -> None:
    """Nothing leaves by default."""
    assert HaltLatch().reason == NOT_READ


def test_a_halt_ends_with_a_resume() -> None:
    """By the tool: both keys at once, one deleted, one new."""
    assert reasons((ANN, None), (None, b"why"), (BOB, None)) == [None, "why", None]


def test_a_halt_by_hand_ends_with_a_value_that_was_not_there_before() -> None:
    """`DEL control:halt` alone, an expiry, or the same value again do not end it."""
    seen = ((ANN, None), (ANN, b"why"), (ANN, None), (None, None), (ANN, None), (BOB, None))
    assert reasons(*seen) == [None, "why", "why", "why", "why", None]


def test_a_value_that_was_set_during_the_halt_does_not_resume_trading() -> None:
    """First the halt is deleted, then trading is allowed."""
    assert reasons((ANN, b"why"), (ANN, None), (BOB, None)) == ["why", "why", None]
    assert reasons((None, b"why"), (ANN, b"why"), (ANN, None)) == ["why"] * 3


def test_lost_keys_halt() -> None:
    """And who resumes then ends it."""
    seen = ((ANN, None), (None, None), (BOB, None))
    assert reasons(*seen) == [None, NEVER_RESUMED, None]


def test_a_restored_older_value_does_not_resume_trading() -> None:
    """Redis was restored: any value that was ever seen is old."""
    seen = ((ANN, None), (BOB, None), (None, b"why"), (ANN, None), (BOB, None), (CAT, None))
    assert reasons(*seen) == [None, None, "why", "why", "why", None]


def test_the_newest_reason_is_shown() -> None:
    """A reason that is lost stays."""
    seen = ((ANN, b"first"), (ANN, b"second"), (None, None), (None, b"third"))
    assert reasons(*seen) == ["first", "second", "second", "third"]


def test_what_is_read_before_its_own_halt_is_written_ends_nothing() -> None:
    """Not even a value that was never seen: it may come from an older copy of Redis."""
    latch = HaltLatch()
    latch.update(ANN, None)
    latch.halt("Redis lost data")
    assert (latch.reason, latch.unwritten) == ("Redis lost data", "Redis lost data")
    for seen in ((BOB, None), (None, None), (BOB, b"why")):
        latch.update(*seen)
        assert latch.reason == "Redis lost data"
    latch.written()
    assert latch.unwritten is None
    latch.update(BOB, None)  # an older copy once more
    assert latch.reason == "Redis lost data"
    latch.update(CAT, None)
    assert latch.reason is None


VALUES = st.none() | st.sampled_from([ANN, BOB, CAT])


@given(st.lists(st.tuples(VALUES, st.none() | st.just(b"why"))))
def test_it_is_resumed_only_by_a_value_never_seen_before(
    seen: list[tuple[bytes | None, bytes | None]],
) -> None:
    """Whatever comes in whichever order; and a halt that is read holds at once."""
    latch = HaltLatch()
    for number, (trading, halt) in enumerate(seen):
        before = latch.reason
        latch.update(trading, halt)
        if trading is None or halt is not None:
            assert latch.reason is not None
        elif before is not None:
            known = {value for value, _ in seen[:number]}
            assert (latch.reason is None) == (trading not in known)
