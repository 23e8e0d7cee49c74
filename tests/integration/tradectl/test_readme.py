"""The README's tradectl lines, one after the other, as a person would paste them."""

import re
import shlex

import pytest

from tests.integration.tradectl.hand import tradectl
from tests.support.orders.trading import TradingDesk
from tests.support.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
PROGRAM = ".venv/bin/tradectl "


def lines() -> list[list[str]]:
    """Every line that runs it, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in found if line.startswith(PROGRAM)]


async def test_each_line_of_the_readme_ends_well(desk: TradingDesk) -> None:
    """From the doctor's look to the end of the halt; `status` is asked of no other services."""
    assert {"doctor", "place", "why", "cancel", "halt", "resume"} <= {words[0] for words in lines()}
    for words in lines():
        ended = await tradectl(desk.redis_url, *words, HEALTH_URLS=",")
        assert ended.code == 0, (words, ended)
        assert ended.out + ended.err
