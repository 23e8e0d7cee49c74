"""Balances have an order: whatever overlaps, pauses and comes late, none goes back. Pure."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services._connector_kit.orders.account.published_balances import (
    LAG,
    NOTHING,
    PER_MILLISECOND,
    BalanceUpdate,
    PublishedBalance,
)
from services._connector_kit.orders.account.venue import Balance

START = 1_700_000_000_000  # venue milliseconds at step 0


class State(NamedTuple):
    """What the account held from some moment on; the amount counts the changes."""

    amount: int
    milliseconds: int
    version: int


@dataclass
class Request:
    """A request for all balances, as far as it has come."""

    asked_at: int
    state: State | None = None
    received_at: int | None = None


@dataclass
class Instance:
    """One connector process: what its stream has yet to give it, and its requests under way."""

    clock_error: int
    publish_pushed: list[State] = field(default_factory=list)
    received: list[State] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


class World:
    """One asset of an account, two instances, and what they publish. Redis's time is the step's."""

    def __init__(self, venue: Literal["binance", "luno"], clock_errors: tuple[int, int]) -> None:
        self.venue = venue
        self.instances = [Instance(error) for error in clock_errors]
        self.now = 0
        self.history = [State(0, START, START * PER_MILLISECOND)]
        self.kept = NOTHING
        self.published: list[int] = []

    @property
    def microseconds(self) -> int:
        """Redis's time."""
        return self.now * 1000

    def change(self, *, at_once: bool) -> None:
        """The balance changes; with *at_once* in the same millisecond as the last change."""
        last = self.history[-1]
        at = last.milliseconds if at_once else START + self.now
        number = last.version % PER_MILLISECOND + 1 if at == last.milliseconds else 0
        new = State(last.amount + 1, at, at * PER_MILLISECOND + number)
        self.history.append(new)
        for instance in self.instances:
            instance.publish_pushed.append(new)

    def act(self, what: str, instance: Instance, lag: int) -> None:
        """One thing goes on in one instance, where there is something to go on with."""
        requests = instance.requests
        if what == "ask":
            requests.append(Request(self.microseconds))
        elif what == "evaluate":
            for request in [r for r in requests if r.state is None][:1]:
                request.state = self._shown(lag)
        elif what == "receive":
            for request in [r for r in requests if r.state and r.received_at is None][-1:]:
                request.received_at = START + self.now + instance.clock_error
        elif what == "publish":
            for request in [r for r in requests if r.received_at is not None][-1:]:
                requests.remove(request)
                self._publish_snapshot(request)
        else:
            self._act_on_stream(what, instance)

    def _act_on_stream(self, what: str, instance: Instance) -> None:
        if what == "push":
            instance.received += instance.publish_pushed[:1]
            del instance.publish_pushed[:1]
        elif what == "reconnect":
            instance.publish_pushed.clear()
        else:
            for state in instance.received[:1] if self.venue == "binance" else ():
                instance.received.remove(state)
                at = START + self.now + instance.clock_error
                self._publish(state, BalanceUpdate([], state.version, at))

    def _shown(self, lag: int) -> State:
        """What a request is answered; Binance's answer may be some changes behind."""
        latest = self.history[-1]
        if self.venue == "luno" or not lag:
            return latest
        older = [s for s in self.history if s.milliseconds < latest.milliseconds]
        return older[-lag:][0] if older and self._ends_millisecond(older[-lag:][0]) else latest

    def _ends_millisecond(self, state: State) -> bool:
        later = self.history[state.amount + 1 :]
        return all(s.milliseconds > state.milliseconds for s in later)

    def _publish_snapshot(self, request: Request) -> None:
        assert request.state is not None
        assert request.received_at is not None
        version = request.state.milliseconds * PER_MILLISECOND + PER_MILLISECOND - 1
        update = BalanceUpdate(
            [],
            version if self.venue == "binance" else 0,
            request.received_at,
            request.asked_at,
        )
        self._publish(request.state, update)

    def _publish(self, state: State, update: BalanceUpdate) -> None:
        amounts = Balance("BTC", Decimal(state.amount), Decimal(0)).amounts
        if self.kept.amounts == amounts or self.kept.may_be_newer(update, self.microseconds):
            return
        self.kept = self.kept.after(update, amounts, self.microseconds)
        self.published.append(state.amount)


ACTS = ("ask", "evaluate", "receive", "publish", "push", "publish_push", "reconnect")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 1), st.booleans(), st.integers(0, 3)),
        st.tuples(st.sampled_from(ACTS), st.integers(0, 1), st.just(False), st.integers(0, 3)),
        st.tuples(st.just("pause"), st.just(0), st.just(False), st.integers(1, 3)),
    ),
    max_size=60,
)
errors = st.integers(-20, 20)


@settings(max_examples=600)
@given(st.sampled_from(["binance", "luno"]), st.tuples(errors, errors), steps)
def test_no_balance_is_published_after_a_newer_one_and_the_last_is_the_venues(
    venue: Literal["binance", "luno"],
    clock_errors: tuple[int, int],
    story: list[tuple[str, int, bool, int]],
) -> None:
    """Requests that overlap, two instances, late pushes, pauses, a lagging answer, a reconnect."""
    world = World(venue, clock_errors)
    for what, number, at_once, amount in story:
        world.now += 1
        if what == "change":
            world.change(at_once=at_once)
        elif what == "pause":
            world.now += amount * 10
        else:
            world.act(what, world.instances[number], amount)
    assert world.published == sorted(world.published)
    world.now += 1
    instance = Instance(clock_error=0)
    for what in ("ask", "evaluate", "receive", "publish"):
        world.now += 1
        world.act(what, instance, 0)
    assert world.kept.amounts == f"{world.history[-1].amount} 0"
    for other in world.instances:  # what comes yet is older, or the same
        while other.publish_pushed or other.received:
            world.act("push", other, 0)
            world.act("publish_push", other, 0)
            if world.venue == "luno":
                other.received.clear()
    assert world.published == sorted(world.published)


def snapshot(asked_at: int, version: int = 0, received_at: int = START) -> BalanceUpdate:
    """The answer to a request."""
    return BalanceUpdate([], version, received_at, asked_at)


def test_a_snapshot_is_used_only_if_no_balance_was_published_after_its_request() -> None:
    """In the same microsecond is since."""
    kept = PublishedBalance("1 0", published_at=1000)
    assert kept.may_be_newer(snapshot(999), 2000)
    assert kept.may_be_newer(snapshot(1000), 2000)
    assert not kept.may_be_newer(snapshot(1001), 2000)


def test_a_redis_whose_clock_went_back_hides_no_balance() -> None:
    """What seems to have been published in the future says nothing."""
    assert not PublishedBalance("1 0", published_at=5000).may_be_newer(snapshot(1000), 2000)


def test_an_answer_that_lags_behind_what_was_pushed_isnt_believed_for_ten_seconds() -> None:
    """Then it is: the venue may have begun its versions anew."""
    kept = PublishedBalance("1 0", version=7_005, published_at=1000)
    lagging = snapshot(1000 + LAG - 1, version=6_999)
    assert kept.may_be_newer(lagging, 2 * LAG)
    assert not kept.may_be_newer(snapshot(1000 + LAG, version=6_999), 2 * LAG)
    assert not kept.may_be_newer(snapshot(1001, version=7_999), 2 * LAG)
    assert not kept.may_be_newer(snapshot(1001), 2 * LAG)


def test_a_push_counts_only_where_it_is_newer_than_all_that_was_published() -> None:
    """Than what was pushed before, and than all that an answer may have in it."""
    publish_pushed = PublishedBalance("1 0", version=7_005)
    assert [
        publish_pushed.may_be_newer(BalanceUpdate([], v, START), 0) for v in (7_004, 7_005, 7_006)
    ] == [
        True,
        True,
        False,
    ]
    answered = NOTHING.after(snapshot(1, version=START * 1000 + 999, received_at=START + 50), "", 2)
    within = BalanceUpdate([], (START + 50) * 1000 + 999, START)
    assert answered.may_be_newer(within, 3)
    assert not answered.may_be_newer(within._replace(version=within.version + 1), 3)
    by_its_version = NOTHING.after(snapshot(1, (START + 9) * 1000 + 999), "", 2)
    assert by_its_version.may_be_newer(BalanceUpdate([], (START + 9) * 1000 + 999, START), 3)


def test_what_is_published_again_unchanged_keeps_its_place_where_it_is_newer() -> None:
    """An answer that says the same, but was asked for before that was published."""
    kept = PublishedBalance("1 0", version=7_005, includes=9_000, published_at=1000)
    assert kept.after(snapshot(999, version=6_999), "1 0", 2000) == kept
    later = kept.after(snapshot(1001, version=8_999), "1 0", 2000)
    assert (later.version, later.published_at) == (8_999, 2000)


@pytest.mark.parametrize("text", ["1.5 0.5", "1.5 0.5 7005 9000 123456"])
def test_what_was_published_is_read_as_it_was_written(text: str) -> None:
    """By this release, or by an earlier one, which kept the amounts alone."""
    kept = PublishedBalance.read(text.encode())
    assert kept.amounts == "1.5 0.5"
    assert str(kept) == (text if " 7005" in text else f"{text} 0 0 0")
