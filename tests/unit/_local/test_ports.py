"""Ports: a taken one is stepped over, and two launchers never choose the same."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._local.ports import TRIES, NoPortError, Ports, quiet_port
from services._local.settings import HOST


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.socket() as s:
        s.bind((HOST, 0))
        s.listen()
        yield s.getsockname()[1]


def test_a_free_port_is_taken_as_wanted() -> None:
    """And may be bound by the part it is for."""
    wanted = quiet_port()
    with Ports() as ports:
        assert ports.take(wanted) == wanted
        with socket.socket() as s:
            s.bind((HOST, wanted))


def test_a_port_in_use_is_stepped_over(taken: int) -> None:
    """The next free one is taken."""
    with Ports() as ports:
        assert taken < ports.take(taken) < taken + TRIES


def test_a_port_that_was_chosen_but_is_not_bound_yet_is_stepped_over() -> None:
    """Until the other launcher ends."""
    wanted = quiet_port()
    with Ports() as ports, Ports() as others:
        assert ports.take(wanted) == wanted
        assert others.take(wanted) > wanted
        assert ports.take(wanted) > wanted
    with Ports() as later:
        assert later.take(wanted) == wanted


def test_one_taken_port_moves_one_of_those_that_are_taken_together() -> None:
    """To a port that none of the others wants: they keep theirs."""
    first = _three_free_in_a_row()
    wanted = {"a": first, "b": first + 1, "c": first + 2}
    with socket.socket() as other, Ports() as ports:
        other.bind((HOST, first))
        other.listen()
        found = ports.take_each(wanted)
    assert (found["b"], found["c"]) == (first + 1, first + 2)
    assert first + 2 < found["a"] < first + TRIES


@given(taken=st.sets(st.sampled_from("abcde")))
def test_only_who_finds_its_port_taken_moves(taken: set[str]) -> None:
    """Whichever and however many are; and no two get the same."""
    wanted = {name: 20_000 + number for number, name in enumerate("abcde")}
    claimed = {wanted[name] for name in taken}

    def claim(port: int) -> bool:
        free = port not in claimed
        claimed.add(port)
        return free

    with Ports() as ports:
        ports._claim = claim  # type: ignore[method-assign]
        found = ports.take_each(wanted)
    assert {name for name in wanted if found[name] != wanted[name]} == taken
    assert len(set(found.values())) == len(wanted)


def _three_free_in_a_row() -> int:
    while True:
        first = quiet_port()
        with Ports() as ports:
            if [ports.take(port) for port in range(first, first + 3)] == [*range(first, first + 3)]:
                return first


def test_no_port_at_all_is_said(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """The error has the ports that were tried."""
    monkeypatch.setattr("services._local.ports.TRIES", 1)
    with Ports() as ports, pytest.raises(NoPortError, match=f"from {taken} to {taken}"):
        ports.take(taken)


def test_a_quiet_port_is_outside_the_ephemeral_ports() -> None:
    """An outgoing connection can't take it before it is bound: Linux gives those from 32768 on."""
    for _ in range(20):
        port = quiet_port()
        assert 10_000 <= port < 32_000
        with socket.socket() as s:
            s.bind((HOST, port))


def test_no_quiet_port_at_all_is_said(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """It doesn't look for ever."""
    monkeypatch.setattr("services._local.ports.FIRST_STATIC_PORT", taken)
    monkeypatch.setattr("services._local.ports.LAST_STATIC_PORT", taken + 1)
    with pytest.raises(NoPortError, match="no port is free"):
        quiet_port()
