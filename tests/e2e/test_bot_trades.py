"""Simulator, connector, indicators and bot, all real: from a price to a position."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from common_models import InstrumentInfo, PortfolioEvent
from common_models.stream_names import HALT, EventStream, MarketStream, state_key
from tests.support.bot.indicator_host import hosting
from tests.support.bot.process import Bot, running_bot
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, Market, TradingDesk, trading_desk

pytestmark = pytest.mark.timeout(180)

BINANCE, LUNO = MARKETS
# Of 0.002 BTC bought, a thousandth is the fee; the exchange takes lots of 0.00001.
AFTER_ITS_FEE, LEFT_OVER = 0.001998, 0.000008


async def trades(desk: TradingDesk) -> int:
    """How many trades the market has had."""
    name = MarketStream.of(desk.market.venue.exchange, desk.market.symbol, "trades")
    return int(await desk.redis.xlen(str(name)))


async def warm(desk: TradingDesk, values: int) -> None:
    """Wait until there were enough trades for averages of so many *values*."""

    async def enough() -> bool:
        return await trades(desk) > values

    await eventually_async(enough, within=60)


async def middle(desk: TradingDesk) -> float:
    """The market's price."""
    book = await desk.book()
    return (book.bids[0].price + book.asks[0].price) / 2


def settings(market: Market, strategy: str) -> dict[str, str]:
    """A bot that trades on paper with one strategy, on one market alone."""
    own, symbol = market.venue.exchange, market.symbol
    return {
        "BOT_MODE": "paper",
        "STRATEGIES": f"{strategy}:{own}:{symbol}:{market.quantity}",
    }


async def filled(bot: Bot, side: str) -> str:
    """The id of the first decision of this side whose order is filled, once it is."""
    found = await bot.decision(lambda each: each.side == side and each.order_status == "filled")
    return found.decision_id


async def held(desk: TradingDesk, quantities: list[float]) -> bool:
    """True once the bot told these positions one after the other, having held nothing before.

    Between two of them it may tell part of one; and the market's own noise may lead to more.
    """
    redis: Any = desk.redis
    entries = await redis.xrange(str(EventStream("bot", "portfolio")))
    told = [PortfolioEvent.model_validate_json(fields[b"data"]) for _, fields in entries]
    found = [event.positions[0].quantity for event in told if event.positions]
    changes = [quantity for quantity, _ in groupby(q for q in found if q in (0, *quantities))]
    return changes[changes[:1] == [0] :][: len(quantities)] == quantities


async def test_a_fall_becomes_one_buy_and_a_rise_sells_it(tmp_path: Path) -> None:
    """RSI below 30: one market buy, answered, filled, in the balance; above 70: sold again."""
    async with (
        trading_desk(BINANCE, tmp_path) as desk,
        desk.connector(),
        hosting(desk.redis_url, tmp_path / "i", "binance:BTC/USDT:rsi_14@trade"),
        running_bot(
            desk.redis, desk.redis_url, tmp_path / "b", **settings(BINANCE, "rsi_reversion")
        ) as bot,
    ):
        await bot.until_it_sees(desk.market.venue.exchange)
        await warm(desk, 40)
        await desk.move_market(await middle(desk) * 0.9)
        bought = await filled(bot, "buy")
        assert await desk.arrivals(bought) == 1
        (order,) = await desk.at_venue(bought)
        assert (order["side"].lower(), order["type"].lower()) == ("buy", "market")
        assert (await desk.response(bought)).status == "accepted"
        status = await desk.status(bought, "filled")
        assert status.filled_quantity == BINANCE.quantity
        await eventually_async(lambda: held(desk, [AFTER_ITS_FEE]))
        told = await desk.event("account_balance", lambda e: e.asset == "BTC")
        assert told.total > 0
        await assert_chained(desk, bot, bought)
        await desk.move_market(await middle(desk) * 1.2)
        sold = await filled(bot, "sell")
        assert await desk.arrivals(sold) == 1
        await eventually_async(lambda: held(desk, [AFTER_ITS_FEE, LEFT_OVER]))

        async def each_sent_is_an_order() -> bool:
            orders = {order["client_order_id"] for order in (await desk.ledger())["orders"]}
            return orders == {d.decision_id for d in await bot.decisions() if d.outcome == "sent"}

        await eventually_async(each_sent_is_an_order)


# At this trip the bundled strategies couldn't sell any more: on Binance, and on Luno.
TRIPS = {"binance": 12, "luno": 6}


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)
async def test_what_was_bought_can_be_sold_however_often(market: Market, tmp_path: Path) -> None:
    """From an account without coins: no order is rejected, and the position is what it has."""
    flip = "tests.support.bot.strategies.Flip"
    pace = {"RISK_ORDERS_PER_MINUTE": "600"}
    funds = f"{market.base}:0"
    async with (
        trading_desk(market, tmp_path, SIMULATOR_FUNDS=funds, **pace) as desk,
        desk.connector(),
        running_bot(
            desk.redis, desk.redis_url, tmp_path / "b", **settings(market, flip), **pace
        ) as bot,
    ):

        async def trips() -> bool:
            ended = [d for d in await bot.decisions() if d.order_status in ("filled", "rejected")]
            assert not [d for d in ended if d.order_status == "rejected"]
            sold = {d.decision_id for d in ended if d.side == "sell"}
            return len(sold) >= TRIPS[market.venue.exchange]

        await eventually_async(trips, within=120)
        await desk.redis.set(HALT, "enough trips")

        async def the_position_is_what_the_account_has() -> bool:
            owned = (await desk.ledger())["balances"][market.base]
            (position,) = (await bot.portfolio()).positions
            return position.quantity == float(owned["free"]) and not float(owned["locked"])

        await eventually_async(the_position_is_what_the_account_has)


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.venue.name)
async def test_a_ladder_rests_at_the_exchange_and_each_of_its_orders_is_there_once(
    market: Market, tmp_path: Path
) -> None:
    """Three bids of one message, in the book; a fall fills all, and the position is what it has."""
    top = {"binance": 60_000, "luno": 1_300_000}[market.venue.exchange]
    wanted = settings(market, "tests.support.bot.strategies.Ladder")
    wanted["STRATEGIES"] += f"?once=true&top={top}"
    async with (
        trading_desk(market, tmp_path, SIMULATOR_FUNDS=f"{market.base}:0") as desk,
        desk.connector(),
        running_bot(desk.redis, desk.redis_url, tmp_path / "b", **wanted) as bot,
    ):

        async def resting() -> list[str]:
            states = {o.client_order_id: o.state for o in (await bot.portfolio()).open_orders}
            return list(states) if list(states.values()) == ["open"] * 3 else []

        await eventually_async(resting, within=60)
        orders = await resting()
        at_venue = [(await desk.at_venue(each))[0] for each in orders]
        assert [float(order["price"]) for order in at_venue] == [top, top - 1, top - 2]
        await desk.move_market(top * 0.98)

        async def the_position_is_what_the_account_has() -> bool:
            owned = (await desk.ledger())["balances"][market.base]
            positions = (await bot.portfolio()).positions
            held = [each.quantity for each in positions]
            return not await open_orders(bot) and held == [float(owned["free"])]

        await eventually_async(the_position_is_what_the_account_has, within=60)
        assert [await desk.arrivals(each) for each in orders] == [1, 1, 1]
        assert len((await desk.ledger())["orders"]) == 3


async def open_orders(bot: Bot) -> list[str]:
    """The orders that the bot says may still trade."""
    return [each.client_order_id for each in (await bot.portfolio()).open_orders]


async def test_fees_in_bnb_are_valued_at_the_exchanges_price_without_its_feed(
    tmp_path: Path,
) -> None:
    """The exchange takes BNB where there is some: the connector asks for its price."""
    holder = settings(BINANCE, "tests.support.bot.strategies.Holder")
    simulated = {
        "SIMULATOR_SYMBOLS": "BTC/USDT,ETH/USDT,BNB/USDT",
        "SIMULATOR_FUNDS": "BNB:1,BTC:0",
    }
    async with trading_desk(BINANCE, tmp_path, **simulated) as desk:
        redis: Any = desk.redis
        async with desk.connector():

            async def price() -> float | None:
                told: Any = await redis.hget(state_key(desk.name, "instruments"), "BTC/USDT")
                return (
                    InstrumentInfo.model_validate_json(told).fee_prices.get("BNB") if told else None
                )

            await eventually_async(price)
            async with running_bot(desk.redis, desk.redis_url, tmp_path / "b", **holder) as bot:
                await filled(bot, "buy")
                (order,) = (await desk.ledger())["orders"]
                assert list(order["fees"]) == ["BNB"]
                (position,) = (await bot.portfolio()).positions
                assert (position.quantity, position.fees_unvalued) == (BINANCE.quantity, {})
                assert position.price is not None
                assert position.profit is not None
                fee = float(order["fees"]["BNB"]) * (await price() or 0)
                cost = position.quantity * position.price - position.profit
                assert cost == pytest.approx(float(order["filled_quote"]) + fee, abs=fee / 100)
                assert not bot.logged("fees_unvalued")


async def assert_chained(desk: TradingDesk, bot: Bot, bought: str) -> None:
    """From the trade to the fill, every id leads to the next."""
    redis: Any = desk.redis
    sent, *later = [each for each in await bot.decisions() if each.decision_id == bought]
    indicator, trade = sent.caused_by
    for entry in (indicator, trade):
        stream, entry_id = entry.split()
        assert await redis.xrange(stream, entry_id, entry_id), entry
    assert sent.outcome == "sent"
    assert "answered" in {each.outcome for each in later}
    assert later[-1].order_status == "filled"
    answered = next(each for each in later if each.outcome == "answered")
    command_id = answered.command_id
    assert await redis.xrange(sent.command_stream, command_id, command_id)
    for each in later:
        stream, entry_id = str(each.told_by).split()
        assert await redis.xrange(stream, entry_id, entry_id), each


async def test_a_golden_cross_buys_and_a_death_cross_sells(tmp_path: Path) -> None:
    """On Luno, with averages of trades: one order for each cross."""
    indicators = ",".join(f"luno:XBT/ZAR:{name}@trade" for name in ("sma_20", "sma_50"))
    async with (
        trading_desk(LUNO, tmp_path) as desk,
        desk.connector(),
        hosting(desk.redis_url, tmp_path / "i", indicators),
        running_bot(
            desk.redis, desk.redis_url, tmp_path / "b", **settings(LUNO, "sma_crossover")
        ) as bot,
    ):
        await bot.until_it_sees(desk.market.venue.exchange)
        start = await middle(desk)
        await desk.move_market(start * 0.9)
        await warm(desk, 60)
        await desk.move_market(start * 1.1)
        bought = await filled(bot, "buy")
        await desk.move_market(start * 0.8)
        sold = await filled(bot, "sell")
        assert [await desk.arrivals(each) for each in (bought, sold)] == [1, 1]
        decided = {each.decision_id: each.reason for each in await bot.decisions()}
        assert decided[bought].startswith("golden cross")
        assert decided[sold].startswith("death cross")
