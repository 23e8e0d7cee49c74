"""How several answers end one command."""

import pytest

from services.tradectl.ending import Ending
from services.tradectl.requests import ending_of


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ([], Ending.DONE),
        (["done", "done"], Ending.DONE),
        (["done", "rejected"], Ending.NO),
        (["rejected", "no_answer"], Ending.NO_ANSWER),
        (["no_answer", "unknown", "rejected"], Ending.UNKNOWN),
        (["a word nobody knew"], Ending.UNKNOWN),
    ],
)
def test_the_worst_answer_is_the_exit_code(statuses: list[str], ending: Ending) -> None:
    """What isn't known is worse than what is refused."""
    assert ending_of([{"status": status} for status in statuses]) == ending
