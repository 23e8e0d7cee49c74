"""Invalid commands for both connectors: real processes, a real Redis, and the simulator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fuzz.commands import give_corpus, give_drawn, still_fine
from tests.integration.tradectl.hand import tradectl
from tests.support.attempts import Attempts
from tests.support.orders.trading import MARKETS, NO_LIMITS, TradingDesk, trading_desk

DRAWN = 60
# The operator lists the dead letters: no output may control the terminal.
LOOKS = (
    ("dead-letters", "list"),
    ("dead-letters", "list", "--json"),
    ("tail", "*", "--from", "all", "--no-follow"),
    ("orders",),
)


@pytest.fixture(params=MARKETS, ids=lambda market: market.venue.name)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TradingDesk]:
    """The stage, before a connector runs."""
    async with trading_desk(request.param, tmp_path) as desk:
        yield desk


async def test_no_bad_command_harms_a_connector(desk: TradingDesk, attempt: Attempts) -> None:
    """Each is answered or a dead letter, once; no order is placed, and valid commands work."""
    async with desk.connector(**NO_LIMITS) as service:
        sent = await give_corpus(desk, service)
        await give_drawn(desk, service, DRAWN, start=1)
        ordered = len((await desk.ledger())["orders"])
        for number in range(sent + DRAWN):
            attempt("bot", "have an order placed by an invalid command", number < ordered)
        assert not service.exited
        await still_fine(desk, service)
    for arguments in LOOKS:
        shown = await tradectl(desk.redis_url, *arguments)
        assert shown.code == 0, shown
        assert "\x1b" not in shown.out
