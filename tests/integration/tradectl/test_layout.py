"""What each command prints on terminals of 60, 80 and 200 columns, of a connector at work."""

from pathlib import Path
from uuid import uuid4

import pytest
from rich.cells import cell_len

from common_models import PortfolioEvent, StrategyPosition
from tests.integration.tradectl.hand import tradectl
from tests.integration.tradectl.terminal import on_terminal
from tests.support.orders.trading import TradingDesk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

WIDTHS = (60, 80, 200)
# Each command that prints tables, and its columns of numbers, as far as 80 columns show them.
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("dropped", "most", "lost", "newest", "lag", "entries"),
    "orders --all": ("quantity", "price", "filled"),
    "balances --all": ("free", "locked", "total", "ago"),
    "positions": ("quantity", "price", "now", "value", "unrealised"),
    "pnl": ("realised", "unrealised", "fees", "today", "profit"),
    "why ORDER": ("after",),
    "doctor": (),
    "dead-letters list": (),
}
PORTFOLIO = PortfolioEvent(
    mode="paper",
    positions=[
        StrategyPosition(
            strategy=f"{name}:binance:BTC/USDT:0.001",
            exchange="binance",
            symbol="BTC/USDT",
            quantity=0.00123456,
            price=64123.45,
            profit=12345.678 * sign,
            profit_today=-0.5 * sign,
            realised=12000.0 * sign,
            unrealised=345.678 * sign,
            fees=12.25,
        )
        for name, sign in (("rsi_reversion", 1), ("sma_crossover", -0.1))
    ],
    open_orders=[],
)


def misaligned(out: str, title: str) -> list[str]:
    """The lines of tables with such a column whose cell there doesn't end where the title does.

    A line in which another cell goes on has none there.

    Raises:
        AssertionError: no table has one.
    """
    found, seen, end = [], 0, None
    for line in out.splitlines():
        if end is None and f" {title} " in f" {line} ":
            end = line.index(title) + len(title)
        elif not line.strip():
            end = None
        elif end is not None:
            seen += bool(line[end - 1 : end].strip())
            nothing = not line[end - len(title) : end].strip()
            if line[end : end + 1].strip() or not (nothing or line[end - 1].strip()):
                found.append(line)
    assert seen, f"no table with {title}: {out}"
    return found


async def trade(desk: TradingDesk) -> str:
    """An order that is filled, one that rests, and a letter that nobody could read."""
    venue, symbol, quantity = desk.market.venue.exchange, desk.market.symbol, desk.market.quantity
    ids = [uuid4().hex for _ in range(2)]
    words = ("place", venue, "buy", symbol, str(quantity), "--id")
    filled = await tradectl(desk.redis_url, *words, ids[0], "--wait")
    assert filled.code == 0, filled
    rests = await tradectl(desk.redis_url, *words, ids[1], "--price", str(await desk.far_below()))
    assert rests.code == 0, rests
    await desk.status(ids[1], "open")
    await desk.redis.xadd("bot:events:portfolio", {"data": PORTFOLIO.model_dump_json()})
    await desk.send("place_order", b'{"client_order_id": "no order"}')
    return ids[0]


async def test_every_table_fits_the_terminal_and_its_numbers_stand_at_the_right(
    desk: TradingDesk,
) -> None:
    """No line is longer; on 80 columns each column of numbers ends where its title does."""
    order = await trade(desk)
    for command, numbers in COMMANDS.items():
        for width in WIDTHS:
            words = command.replace("ORDER", order).split()
            shown = await tradectl(
                desk.redis_url, *words, COLUMNS=str(width), HEALTH_URLS="bot=http://127.0.0.1:1"
            )
            assert shown.out.strip(), (words, shown)
            too_long = [line for line in shown.out.splitlines() if cell_len(line) > width]
            assert too_long == [], (words, width)
            if width < 80:
                continue
            for title in numbers:
                assert misaligned(shown.out, title) == [], (words, width, shown.out)


async def test_json_is_the_same_on_every_terminal(desk: TradingDesk) -> None:
    """Programs read it, whatever a person's terminal is."""
    order = await trade(desk)
    for words in (("orders", "--all", "--json"), ("why", order, "--json")):
        found = [await tradectl(desk.redis_url, *words, COLUMNS=str(width)) for width in WIDTHS]
        assert all(each.json == found[0].json for each in found), words
        assert all(each.code == 0 for each in found)


async def test_what_commands_say_line_by_line_fits_a_terminal(
    desk: TradingDesk, tmp_path: Path
) -> None:
    """An order's answers and its end, an entry, a letter: what is too long goes on below."""
    order, price = uuid4().hex, str(await desk.far_below())
    where = (desk.market.venue.exchange, "buy", desk.market.symbol, str(desk.market.quantity))
    await desk.send("place_order", b'{"client_order_id": "no order"}')
    await desk.event("order_response", lambda each: each.client_order_id == "no order")
    letters = await tradectl(desk.redis_url, "dead-letters", "list", "--json")
    tail = f"{desk.name}:events:order_*"
    for words in (
        ("place", *where, "--price", price, "--id", order),
        ("tail", tail, "--from", "all", "--no-follow"),
        ("cancel", order),
        ("dead-letters", "show", letters.json[0]["id"]),
    ):
        async with on_terminal(tmp_path, desk.redis_url, *words) as terminal:
            assert await terminal.ended() == 0, (words, terminal.text)
            await terminal.until(" ")
        assert max(map(cell_len, terminal.text.splitlines())) <= 80, (words, terminal.text)
