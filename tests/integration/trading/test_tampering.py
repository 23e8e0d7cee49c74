"""Real connectors whose command streams a bot blocks, or empties."""

from pathlib import Path

import pytest

from tests.integration.trading.tampering import LARGEST, deleted_unread, repaired
from tests.support.attempts import Attempts
from tests.support.metrics import page
from tests.support.orders.trading import MARKETS, Market, trading_desk

pytestmark = pytest.mark.timeout(180)

both = pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)


@both
async def test_no_bot_blocks_a_command_stream(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """After the largest possible id commands go on within seconds, and somebody is alarmed."""
    async with trading_desk(market, tmp_path) as desk, desk.connector():
        resting = await desk.order(price=await desk.far_below())
        await desk.status(resting, "open")
        for command in ("place_order", "cancel_order", "cancel_all_orders"):
            works = await repaired(desk.redis, desk.redis, f"{desk.name}:commands:{command}")
            attempt("bot", "block a command stream by the largest id", not works)
            letters = await desk.redis.xrange(f"{desk.name}:dead_letter:{command}")
            assert LARGEST in str(letters)
        again = await desk.order(price=await desk.far_below())
        assert (await desk.response(again)).status == "accepted"
        symbol = desk.market.symbol
        cancelled = await desk.request("cancel_order", symbol=symbol, client_order_id=again)
        assert cancelled.status == "done"
        assert (await desk.request("cancel_all_orders")).status == "done"
        await desk.status(resting, "canceled")
        found = await page(desk.health_port)
        assert found["command_streams_tampered_total", "cancel_order", "future_id"] == 1


@both
async def test_commands_that_a_bot_deletes_unread_are_noticed(
    tmp_path: Path, market: Market, attempt: Attempts
) -> None:
    """They are lost, which Redis lets whoever writes to a stream do; it doesn't pass unseen."""
    async with trading_desk(market, tmp_path) as desk, desk.connector():
        lost = await deleted_unread(desk, desk.redis, "commands:cancel_order")
        attempt("bot", "delete another's commands unread", lost)
        answer = await desk.request("cancel_order", symbol=desk.market.symbol, order_id="1")
        assert answer.status == "rejected"
