"""How an order stands, from what was heard of it so far."""

from typing import Any

import pytest

from services.tradectl.exit_codes import ExitCode
from services.tradectl.placing import OrderProgress

ID, COMMAND = "my-order", "1000-0"


def response(status: str, **fields: Any) -> dict[str, Any]:
    """An answer to our command."""
    return {"client_order_id": ID, "command_id": COMMAND, "status": status, **fields}


def status(status: str) -> dict[str, Any]:
    """A status of our order."""
    return {"client_order_id": ID, "order_id": "1", "status": status}


def placed(*events: dict[str, Any], wait: bool = False) -> OrderProgress:
    """An order of which these were heard; answers have a `command_id`."""
    found = OrderProgress(ID, COMMAND, wait)
    for event in events:
        found.add(event, is_response="command_id" in event)
    return found


@pytest.mark.parametrize(
    ("events", "wait", "outcome", "exit_code", "done"),
    [
        ([], False, "no_answer", ExitCode.NO_ANSWER, False),
        ([status("open")], False, "no_answer", ExitCode.NO_ANSWER, False),
        ([response("accepted")], False, "accepted", ExitCode.DONE, True),
        ([response("rejected")], True, "rejected", ExitCode.NO, True),
        ([response("unknown")], False, "unknown", ExitCode.UNKNOWN, False),
        ([response("unknown"), response("accepted")], False, "accepted", ExitCode.DONE, True),
        ([response("unknown"), response("rejected")], True, "rejected", ExitCode.NO, True),
        ([response("accepted")], True, "accepted", ExitCode.NO_ANSWER, False),
        ([response("accepted"), status("open")], True, "open", ExitCode.NO_ANSWER, False),
        ([status("filled"), response("accepted")], True, "filled", ExitCode.DONE, True),
        # A comparison with the exchange may tell an older state after the end.
        (
            [response("accepted"), status("filled"), status("unknown")],
            True,
            "filled",
            ExitCode.DONE,
            True,
        ),
        ([response("accepted"), status("canceled")], True, "canceled", ExitCode.NO, True),
        ([response("accepted"), status("expired")], False, "accepted", ExitCode.DONE, True),
        ([response("something new")], False, "something new", ExitCode.UNKNOWN, True),
    ],
)
def test_every_way_an_order_can_stand_has_one_outcome_and_one_exit_code(
    events: list[dict[str, Any]], wait: bool, outcome: str, exit_code: ExitCode, done: bool
) -> None:
    """Unknown is never taken for no, and a status alone is no answer."""
    found = placed(*events, wait=wait)
    assert (found.outcome, found.exit_code, found.done) == (outcome, exit_code, done)


def test_answers_to_other_commands_are_not_ours() -> None:
    """Another order's, and another entry's with the same id."""
    found = placed(
        response("rejected", client_order_id="another"), response("accepted", command_id="999-0")
    )
    assert found.response is None


def test_an_answer_that_names_no_command_is_taken() -> None:
    """The contract's own fields are enough; a connector of another kind may send no more."""
    assert placed(response("accepted", command_id=None)).exit_code == ExitCode.DONE


def test_a_replayed_answer_says_that_the_order_is_an_old_one() -> None:
    """What became of it lies behind us, then."""
    assert placed(response("accepted", replay=True)).replayed
    assert not placed(response("accepted", replay=False)).replayed
