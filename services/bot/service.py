"""The bot: what it is made of."""

import asyncio

from common_models.stream_names import state_key
from services._runtime.health import Readiness, health_server
from services._runtime.redis_client import open_redis
from services._runtime.stream_reader import StreamReader
from services.bot.connector_watch import ConnectorWatch
from services.bot.data_provider import DataProvider
from services.bot.market_watch import MarketWatch
from services.bot.settings import BotSettings


async def serve(settings: BotSettings) -> None:
    """Run until cancelled."""
    readiness = Readiness("redis", "market_data")
    provider = DataProvider(settings.markets)
    connectors = ConnectorWatch(settings.markets)
    watch = MarketWatch(provider, connectors, readiness)
    async with (
        health_server("bot", settings, readiness),
        open_redis(settings.redis_url, "bot") as redis,
        asyncio.TaskGroup() as tasks,
    ):
        reader = StreamReader(
            redis,
            [*provider.feeds, *connectors.streams],
            state_key("bot", "positions"),
            on_up=lambda: readiness.ok("redis"),
            on_down=lambda reason: readiness.waiting("redis", reason),
            on_gap=watch.note_gap,
        )
        tasks.create_task(reader.run(watch.take))
        tasks.create_task(watch.keep_judging())
        tasks.create_task(watch.keep_summing_up())
