"""What the bot costs: `make bench`.

Two numbers. How many tickers a second one core takes through the data provider and a strategy, as
they come from the stream reader: bytes in, validated, kept, told. And how long it takes from a
ticker that is readable in Redis until the command that it causes is readable there, with a real
bot process; a stopwatch on one connection, which writes the ticker and waits for the command.
"""

import asyncio
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from common_models import Ticker
from services._local.redis_server import RedisServer
from services._runtime.health import Readiness
from services._runtime.redis_client import open_redis
from services._runtime.stream_reader import Batch
from services.bot.connector_watch import ConnectorWatch
from services.bot.data_provider import DataProvider
from services.bot.decision_maker import DecisionMaker
from services.bot.decision_metrics import DecisionMetrics
from services.bot.dispatcher import Dispatcher
from services.bot.instrument_watch import InstrumentWatch
from services.bot.market_watch import MarketWatch
from services.bot.portfolio import Portfolio
from services.bot.resync import Resync
from services.bot.risk import Risk
from services.bot.settings import BotSettings
from services.bot.strategy import Intent, Strategy
from services.bot.strategy_config import StrategySpec
from services.bot.strategy_host import StrategyHost
from services.bot.view import Balances, Sources
from tests.support.bot.process import running_bot
from tests.support.bot.stage import COMMANDS, Stage
from tests.support.market_data.messages import connector_status, ticker, wire
from tests.support.ports import quiet_port

TICKER = "binance:BTCUSDT:ticker"
BATCH = 500
BATCHES = 100
ROUNDS = 5
DECISIONS = 300
WARM_UP = 20


class Threshold(Strategy):
    """Compares each price with the one before, and looks at what it holds; never acts."""

    def on_ticker(self, ticker: Ticker) -> Intent | None:
        """A little arithmetic, as strategies do it."""
        before = self.state.get("last", ticker.last_price)
        self.state["last"] = ticker.last_price
        if ticker.last_price > before * 1.5 and not self.market.position:
            return Intent("buy", "it rose by half")
        return None


def bot_without_redis() -> Dispatcher:
    """The bot's inside, as `service.py` puts it together, with one strategy."""
    settings = BotSettings(binance_symbols=("BTC/USDT",), luno_symbols=())
    specs = [StrategySpec("threshold", "binance", "BTC/USDT", Decimal("0.001"), Threshold)]
    sources = Sources(
        provider=DataProvider(settings.markets),
        connectors=ConnectorWatch(settings.markets),
        indicators={},
        balances=Balances(),
        instruments=InstrumentWatch(settings.markets),
        portfolio=Portfolio(),
        indicator_max_age=10.0,
        clock=time.monotonic,
    )
    watch = MarketWatch(sources.provider, sources.connectors, Readiness("market_data"))
    risk = Risk(settings, sources.portfolio, sources.instruments.lots)
    maker = DecisionMaker(settings, sources, risk)
    decision_metrics = DecisionMetrics(
        CollectorRegistry(), ["threshold:binance:BTC/USDT"], settings.markets
    )
    host = StrategyHost(specs, sources, maker)
    resync = Resync(settings, sources.portfolio, sources.connectors)
    dispatcher = Dispatcher(sources, watch, host, maker, resync, decision_metrics)
    status = "binance_connector:events:connector_status"
    dispatcher.handle(Batch(status, [("1-0", wire(connector_status()))], 0.0))
    return dispatcher


def batches() -> Iterator[Batch]:
    """Tickers, each of another price."""
    for number in range(BATCHES):
        prices = [60_000 + (number * BATCH + each) % 977 / 10 for each in range(BATCH)]
        entries = [(f"{number}-{i}", wire(ticker(last=price))) for i, price in enumerate(prices)]
        yield Batch(TICKER, entries, 0.0)


async def throughput() -> list[float]:
    """Tickers a second, of each round."""
    given, dispatcher, found = list(batches()), bot_without_redis(), []
    for _ in range(ROUNDS):
        started = time.process_time()
        for batch in given:
            dispatcher.handle(batch)
        found.append(BATCH * BATCHES / (time.process_time() - started))
    return found


async def latencies(folder: Path) -> list[float]:
    """Milliseconds from a ticker to its command, each decision after the one before was filled."""
    server = RedisServer(folder / "redis", quiet_port())
    await server.start()
    found: list[float] = []
    try:
        async with open_redis(server.url, "bench", single=True) as redis:
            stage = Stage(redis)
            await stage.open()
            settings = {
                "BOT_MODE": "paper",
                "STRATEGIES": "tests.support.bot.strategies.Insistent:binance:BTC/USDT:0.002",
                "RISK_ORDERS_PER_MINUTE": "100000",
                "RISK_MAX_POSITION": "USDT:1000000",
                "RISK_MAX_DAILY_LOSS": "USDT:1000000",
            }
            async with running_bot(redis, server.url, folder / "bot", **settings) as bot:
                await bot.until_ready()
                for number in range(WARM_UP + DECISIONS):
                    took = await _one(stage, number)
                    if number >= WARM_UP:
                        found.append(took * 1000)
    finally:
        await server.stop()
    return found


async def _one(stage: Stage, number: int) -> float:
    """Seconds from a ticker's XADD, answered, until its command is read."""
    redis: Any = stage.redis
    after = await redis.xrevrange(COMMANDS, count=1)
    last = after[0][0] if after else "0"
    if number % 10 == 0:
        await stage.status()
    data = wire(ticker())
    await redis.xadd(TICKER, {"data": data})
    started = time.perf_counter()
    if not await redis.xread({COMMANDS: last}, block=4000):
        raise SystemExit("no command came; the bot's log says why")
    took = time.perf_counter() - started
    await stage.fill((await stage.commands())[-1])
    await _until_booked(redis)
    return took


async def _until_booked(redis: Any) -> None:
    """Wait until the last that the bot told is that the order is filled."""
    while True:
        entries = await redis.xrevrange("bot:events:decision", count=1)
        if entries and b'"order_status":"filled"' in entries[0][1][b"data"]:
            return
        await asyncio.sleep(0.001)


async def main() -> None:
    """Measure, and print a table."""
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    rates = await throughput()
    print(f"tickers a second through data provider and strategy, one core: {max(rates):,.0f}")
    print(f"  rounds: {', '.join(f'{rate:,.0f}' for rate in rates)}")
    with tempfile.TemporaryDirectory() as name:
        ordered = sorted(await latencies(Path(name)))
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(f"ticker readable to command readable, ms: p50 {p50:.2f}, p99 {p99:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
