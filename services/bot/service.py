"""Assembles the bot from its parts, and runs it."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis

from services._runtime.health import Readiness, health_server
from services._runtime.lifecycle import FatalError
from services._runtime.metrics import Metrics
from services._runtime.redis_client import open_redis
from services._runtime.stream_reader import Batch, StreamReader
from services._runtime.supervise import FailureLog, TransientError
from services.bot import progress_watch, saved_state
from services.bot.connector_watch import ConnectorWatch
from services.bot.data_provider import DataProvider
from services.bot.decision_maker import DecisionMaker
from services.bot.decision_metrics import DecisionMetrics
from services.bot.dispatcher import Dispatcher
from services.bot.indicator_feed import IndicatorFeed
from services.bot.instrument_watch import InstrumentWatch
from services.bot.journal import POSITIONS, DecisionJournal
from services.bot.journal_writer import JournalWriter
from services.bot.market_watch import MarketWatch
from services.bot.metrics import BotMetrics
from services.bot.parameters import ParameterError
from services.bot.portfolio import Portfolio
from services.bot.portfolio_state import REFUSED
from services.bot.resync import Resync
from services.bot.risk import Risk, limits_against
from services.bot.settings import BotSettings
from services.bot.strategy_config import StrategyError, StrategySpec, read
from services.bot.strategy_host import StrategyHost
from services.bot.timers import Timers
from services.bot.view import Balances, Sources

log = structlog.get_logger()

LOAD_AGAIN_EVERY = 0.5


async def serve(settings: BotSettings) -> None:
    """Run until cancelled.

    Raises:
        FatalError: a strategy can't be used, or the saved state is invalid.
    """
    try:
        specs = read(settings.strategies, settings.markets)
    except StrategyError as e:
        raise FatalError(f"STRATEGIES: {e}") from e
    log.info("bot_mode", mode=settings.bot_mode, strategies=[each.key for each in specs])
    for each in specs:
        log.info(
            "strategy_configured",
            strategy=each.key,
            quantity=str(each.quantity),
            parameters=each.published_parameters,
        )
        for why in limits_against(settings, each.symbol, each.quantity):
            log.warning("strategy_exceeds_limits", strategy=each.key, reason=why)
    readiness = Readiness("redis", "writes", "market_data", "strategies")
    metrics = Metrics("bot")
    sources = _sources(settings, specs)
    watch = MarketWatch(sources.provider, sources.connectors, readiness)
    risk = Risk(settings, sources.portfolio, sources.instruments.lots)
    maker = DecisionMaker(settings, sources, risk)
    host = _host(specs, sources, maker)
    decision_metrics = DecisionMetrics(metrics.registry, host.running, settings.markets)
    resync = Resync(settings, sources.portfolio, sources.connectors)
    dispatcher = Dispatcher(sources, watch, host, maker, resync, decision_metrics)
    sources.portfolio.on_step = dispatcher.on_step
    sources.portfolio.on_end = dispatcher.on_end
    sources.portfolio.on_uncertain = resync.mark_uncertain
    async with open_redis(settings.redis_url, "bot") as redis:
        journal = DecisionJournal(redis, settings.events_maxlen, resync.mark_all_uncertain)
        reader = StreamReader(
            redis,
            dispatcher.streams,
            POSITIONS,
            on_up=lambda: readiness.ok("redis"),
            on_retry=partial(readiness.retrying, "redis"),
            on_gap=dispatcher.note_gap,
            saves=False,
        )
        mode = settings.bot_mode
        writer = JournalWriter(
            journal, sources, host, maker, resync, decision_metrics, mode, lambda: reader.positions
        )
        known = BotMetrics(
            settings, sources, host, maker, watch, writer, decision_metrics, reader.redis_time
        )
        metrics.watch(reader.metrics)
        metrics.watch(known.read)

        def about() -> Mapping[str, Any]:
            return writer.portfolio().model_dump(mode="json")

        def handle(batch: Batch) -> None:
            dispatcher.handle(batch)
            writer.wake()

        def now() -> float | None:
            """Redis's time in seconds; None while the reader lags more than decisions allow."""
            lag = reader.lag
            behind = lag is None or lag > settings.bot_decision_max_age
            return None if behind else reader.redis_time()

        timers = Timers(host, now)
        async with health_server("bot", settings, readiness, metrics, about):
            await _restore(redis, journal, sources, host, readiness)
            resync.mark_all_uncertain()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(reader.run(handle))
                tasks.create_task(writer.run())
                tasks.create_task(timers.run(writer.wake))
                tasks.create_task(sources.instruments.keep_reading(redis))
                tasks.create_task(progress_watch.keep_reading(redis, sources.indicators))
                tasks.create_task(_keep_judging(host, writer, readiness))
                tasks.create_task(watch.keep_judging())
                tasks.create_task(watch.keep_summing_up())


def _host(specs: list[StrategySpec], sources: Sources, maker: DecisionMaker) -> StrategyHost:
    try:
        return StrategyHost(specs, sources, maker)
    except ParameterError as e:
        raise FatalError(f"STRATEGIES: {e}") from e


def _sources(settings: BotSettings, specs: list[StrategySpec]) -> Sources:
    indicators = {
        stream: IndicatorFeed(stream, name, each.exchange, each.symbol)
        for each in specs
        for name, stream in each.indicator_streams.items()
    }
    provider = DataProvider(settings.markets)
    instruments = InstrumentWatch(settings.markets)
    return Sources(
        provider=provider,
        connectors=ConnectorWatch(settings.markets),
        indicators=indicators,
        balances=Balances(),
        instruments=instruments,
        portfolio=Portfolio(provider.rate, instruments.price, full_rate=instruments.full_fee),
        indicator_max_age=settings.bot_indicator_max_age,
        clock=asyncio.get_running_loop().time,
    )


async def _restore(
    redis: Redis,
    journal: DecisionJournal,
    sources: Sources,
    host: StrategyHost,
    readiness: Readiness,
) -> None:
    """Load the saved state before anything is read or decided."""
    failures = FailureLog("saved_state_not_loaded")
    while True:
        try:
            fields = await journal.load()
            await saved_state.reload(redis, sources)
            await sources.instruments.load(redis)
            break
        except TransientError as e:
            readiness.retrying("redis", failures.retrying(e, LOAD_AGAIN_EVERY))
            await asyncio.sleep(LOAD_AGAIN_EVERY)
    failures.over()
    if not fields:
        log.info("portfolio_created")
        return
    known = saved_state.decode(fields)
    sources.portfolio.restore(known.state)
    for balance in known.balances:
        sources.balances.handle(balance)
    host.restore(known.states)
    for order in [each for each in known.state.orders.values() if each.state == REFUSED]:
        sources.portfolio.drop(order)
        host.notify_refused(order, REFUSED, "it was refused before the bot stopped")
    log.info("portfolio_restored", orders=len(known.state.orders), open=len(sources.portfolio.open))


async def _keep_judging(host: StrategyHost, writer: JournalWriter, readiness: Readiness) -> None:
    """Update the readiness until cancelled: stopped strategies, and journal writes."""
    while True:
        stopped = "; ".join(f"{key}: {why}" for key, why in host.stopped.items())
        if stopped:
            readiness.waiting("strategies", f"stopped: {stopped}", blocked=True)
        else:
            readiness.ok("strategies")
        if writer.fault is None:
            readiness.ok("writes")
        else:
            readiness.waiting("writes", writer.fault)
        await asyncio.sleep(LOAD_AGAIN_EVERY)
