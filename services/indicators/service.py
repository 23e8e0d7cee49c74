"""Assembles the indicator host from its parts, and runs it."""

import asyncio

import structlog

from services._runtime.health import Readiness, health_server
from services._runtime.lifecycle import FatalError
from services._runtime.metrics import Metrics
from services._runtime.redis_client import open_redis
from services.indicators.configuration import ConfigurationError, read
from services.indicators.host import Host
from services.indicators.metrics import host_metrics
from services.indicators.plugins import PluginError, Plugins
from services.indicators.settings import IndicatorSettings

log = structlog.get_logger()


async def serve(settings: IndicatorSettings) -> None:
    """Run until cancelled.

    Raises:
        FatalError: an indicator or a plugin can't be used.
    """
    try:
        plugins = Plugins(settings.indicator_plugins)
    except PluginError as e:
        raise FatalError(f"INDICATOR_PLUGINS: {e}") from e
    try:
        specs = read(settings.indicators, plugins, settings.markets)
    except ConfigurationError as e:
        raise FatalError(f"INDICATORS: {e}") from e
    metrics = Metrics("indicators")
    if not specs:
        log.warning("no_indicators", want="INDICATORS=binance:BTC/USDT:rsi_14@1m,...")
        async with health_server("indicators", settings, Readiness(), metrics):
            await asyncio.Event().wait()
    readiness = Readiness("redis", "indicators")
    async with (
        health_server("indicators", settings, readiness, metrics),
        open_redis(settings.redis_url, "indicators") as redis,
        asyncio.TaskGroup() as tasks,
    ):
        host = Host(redis, specs, settings.market_data_maxlen, readiness)
        metrics.watch(lambda: host_metrics(host))
        tasks.create_task(host.run())
        tasks.create_task(host.keep_summing_up())
