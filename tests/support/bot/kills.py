"""Kill a trading bot again and again, and compare what it knows with what the exchange knows."""

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Collection
from decimal import Decimal
from pathlib import Path
from typing import Any

from common_models.stream_names import HALT, CommandStream
from services.bot.portfolio_state import PortfolioState
from tests.support.bot.data_loss import BEFORE_COMMAND, Loss, lose
from tests.support.bot.process import Bot, known, running_bot
from tests.support.eventually import eventually, eventually_async
from tests.support.orders.halt import resume, resuming
from tests.support.orders.trading import SMALL_WAITS, TradingDesk
from tests.support.processes import Service

# The waits of the order path, small: what Redis lost is given up after three times eight seconds.
# The connector is told the same, but for the first.
WAITS = {
    "ORDER_COMMAND_MAX_AGE": "6",
    **{name: SMALL_WAITS[name] for name in ("ORDER_VALIDITY", "ORDER_RESOLVE_MARGIN")},
    "ORDER_MISSED_FOR": SMALL_WAITS["ORDER_MISSED_FOR"],
}
STRATEGY = "tests.support.bot.strategies.Restless"
SEVERAL = "tests.support.bot.strategies.Several"
KILLS = 2


async def carry_out(
    desk: TradingDesk,
    seed: int,
    folder: Path,
    connector: Service | None = None,
    loss: Loss | None = None,
    strategy: str = STRATEGY,
) -> int:
    """Run, kill and start a bot; then compare. How many orders it had placed in the end.

    With *loss* Redis loses something too, under the *connector* and the last bots.

    Raises:
        AssertionError: the bot's view isn't the exchange's; with the seed.
    """
    chance = random.Random(seed)
    market = desk.market
    settings = {
        "BOT_MODE": "paper",
        "STRATEGIES": f"{strategy}:{market.venue.exchange}:{market.symbol}:{market.quantity}",
        "RISK_ORDERS_PER_MINUTE": "10000",
        **WAITS,
    }
    ever: set[str] = set()  # all ids that were commanded before Redis lost some
    redis: Any = desk.redis
    await resume(redis)
    for kill in range(KILLS):
        failpoint = chance.choice(["before_journal_write", "after_journal_write", ""])
        if failpoint:
            settings["FAILPOINT"] = f"{failpoint}:kill:{chance.randint(2, 12)}"
        else:
            settings.pop("FAILPOINT", None)
        where = folder / f"{seed}-{kill}"
        async with running_bot(desk.redis, desk.redis_url, where, **settings) as bot:
            if failpoint:
                await eventually(_has_ended(bot), within=40)
            else:
                await _some_are_sent(bot, chance.randint(1, 4))
                await asyncio.sleep(chance.random() * 0.2)  # any moment will do
                await bot.service.end(signal.SIGKILL)
    settings.pop("FAILPOINT", None)
    if loss is not None:
        settings["BOT_DECISION_MAX_AGE"] = "30"  # the bot is stopped for a while
        settings["FAILPOINT"] = f"{BEFORE_COMMAND}:{chance.randint(1, 4)}"
    if loss is not None and loss.bot_dies:
        assert connector is not None
        where = folder / f"{seed}-loses"
        async with running_bot(desk.redis, desk.redis_url, where, **settings) as bot:
            ever = await lose(desk, connector, bot, loss, chance)
        settings.pop("FAILPOINT")
    async with running_bot(desk.redis, desk.redis_url, folder / f"{seed}-last", **settings) as bot:
        if loss is not None and not loss.bot_dies:
            assert connector is not None
            ever = await lose(desk, connector, bot, loss, chance)
        async with resuming(redis):
            await _some_are_sent(bot, 1)
        await redis.set(HALT, "the end of the run")
        await bot.refusal("halted")
        try:
            await eventually_async(lambda: _agrees(desk, ever), within=60)
        except AssertionError as e:
            raise AssertionError(f"seed {seed}: {await differences(desk, ever)}") from e
        assert await bot.service.end() == 0
    return len((await desk.ledger())["orders"])


async def differences(desk: TradingDesk, ever: Collection[str] = ()) -> list[str]:
    """Where the bot's books and the exchange's ledger differ; and what happened twice.

    No order is left that may still trade by the bot's books; *ever* are ids that were commanded,
    though their commands may be gone.
    """
    books, ledger = await _books(desk), await desk.ledger()
    redis: Any = desk.redis
    entries = await redis.xrange(str(CommandStream(desk.name, "place_order")))
    commands = Counter(json.loads(fields[b"data"])["client_order_id"] for _, fields in entries)
    faults = [f"{each} was commanded {n} times" for each, n in commands.items() if n > 1]
    known_ids = {*commands, *ever}
    at_venue = {order["client_order_id"]: order for order in ledger["orders"]}
    if len(at_venue) != len(ledger["orders"]):
        faults.append("an id has two orders")
    faults += [f"{each} wasn't commanded" for each in at_venue if each not in known_ids]
    faults += [f"{each} is unknown to the bot" for each in books.orders if each not in known_ids]
    for order in books.orders.values():
        found = at_venue.get(order.id)
        filled = Decimal(found["filled_quantity"]) if found else Decimal(0)
        if not order.ended:
            faults.append(f"{order.id} is {order.state}")
        if filled != order.filled:
            faults.append(f"{order.id}: filled {order.filled}, at the exchange {filled}")
    held = sum((_signed(desk, order) for order in at_venue.values()), Decimal(0))
    told = sum((each.quantity for each in books.holdings.values()), Decimal(0))
    if held != told:
        faults.append(f"position {told}, at the exchange {held}")
    return faults


async def _agrees(desk: TradingDesk, ever: Collection[str]) -> bool:
    return not await differences(desk, ever)


async def _books(desk: TradingDesk) -> PortfolioState:
    return (await known(desk.redis)).state


def _has_ended(bot: Bot) -> Callable[[], bool]:
    return lambda: bot.service.exited


async def _some_are_sent(bot: Bot, more: int) -> None:
    """Wait until it has sent so many more."""

    async def sent() -> int:
        return sum(each.outcome == "sent" for each in await bot.decisions())

    wanted = await sent() + more

    async def enough() -> bool:
        assert not bot.service.exited, bot.service.log.read_text()
        return await sent() >= wanted

    await eventually_async(enough, within=90)  # what was lost is given up first


def _signed(desk: TradingDesk, order: dict[str, Any]) -> Decimal:
    """What the account has more of the base asset, because of this order."""
    filled = Decimal(order["filled_quantity"])
    fee = Decimal(order["fees"].get(desk.market.base, 0))
    return (filled if order["side"].lower() in ("buy", "bid") else -filled) - fee
