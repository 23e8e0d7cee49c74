"""How several answers end one command."""

import pytest

from services.tradectl.exit_codes import ExitCode
from services.tradectl.requests import exit_code_of


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ([], ExitCode.DONE),
        (["done", "done"], ExitCode.DONE),
        (["done", "rejected"], ExitCode.NO),
        (["rejected", "no_answer"], ExitCode.NO_ANSWER),
        (["no_answer", "unknown", "rejected"], ExitCode.UNKNOWN),
        (["a word nobody knew"], ExitCode.UNKNOWN),
    ],
)
def test_the_worst_answer_is_the_exit_code(statuses: list[str], ending: ExitCode) -> None:
    """What isn't known is worse than what is refused."""
    assert exit_code_of([{"status": status} for status in statuses]) == ending
