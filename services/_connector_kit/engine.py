"""Runs one exchange's connector: market data and orders, from settings to Redis streams."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from common_models import Trade
from common_models.stream_names import EventStream, MarketStream, connector, state_key
from services._connector_kit.clock import SystemClock
from services._connector_kit.errors import FatalError, FeedStoppedError, RejectedError, patience
from services._connector_kit.fees import keep_fees_fresh
from services._connector_kit.instrument_publisher import InstrumentPublisher
from services._connector_kit.instruments import Instrument, MarketStatus, choose
from services._connector_kit.listing import Listing
from services._connector_kit.market_data.metrics import feed_metrics
from services._connector_kit.market_data.publisher import Publisher
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.subscription import SymbolSubscription
from services._connector_kit.market_data.trade_feed import LastTrade
from services._connector_kit.metrics import redis_metrics, trading_metrics, venue_metrics
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.open_symbols import symbols_in_use
from services._connector_kit.orders.commands.cancel_open import cancel_when_full
from services._connector_kit.orders.ports import LiveBook, Rejection
from services._connector_kit.orders.risk.halt_watch import HaltWatch
from services._connector_kit.orders.risk.order_limits import OrderLimits
from services._connector_kit.orders.risk.positions import DayRoll
from services._connector_kit.orders.risk.pre_trade_risk import PreTradeRisk, middle
from services._connector_kit.orders.risk.redis_check import NOT_CHECKED_YET, RedisCheck
from services._connector_kit.orders.service import serve_orders
from services._connector_kit.orders.settings import LIVE, TradingSettings
from services._connector_kit.orders.trading import Trading
from services._connector_kit.protocol import Exchange
from services._connector_kit.status_publisher import StatusPublisher
from services._runtime.health import Readiness, health_server
from services._runtime.metrics import Metrics
from services._runtime.redis_client import open_redis
from services._runtime.redis_transaction import reading
from services._runtime.stream_writer.metrics import writer_metrics
from services._runtime.stream_writer.writer import StreamWriter
from services._runtime.supervise import FailureLog, TransientError, full_jitter

T = TypeVar("T")
log = structlog.get_logger()

# The part of /ready for the reads from Redis at start; "redis" is the stream writer's.
READS = "redis_reads"


async def serve(
    exchange_open: AbstractAsyncContextManager[Exchange],
    settings: TradingSettings,
    symbols: Sequence[str],
    symbols_setting: str,
) -> None:
    """Run one exchange's connector until cancelled.

    Raises:
        FatalError: a symbol is not listed, or this Redis belongs to another world.
    """
    readiness = Readiness("redis", "exchange", "orders", "cancels", "requests")
    async with exchange_open as exchange:
        service = connector(exchange.name)
        metrics = Metrics(service)
        async with (
            health_server(service, settings, readiness, metrics),
            open_redis(settings.redis_url, service) as redis,
        ):
            engine = Engine(exchange, redis, settings, readiness, metrics)
            await engine.run(symbols, symbols_setting)


def _report(readiness: Readiness, part: str, fault: Rejection | None) -> None:
    if fault is None:
        readiness.ok(part)
    else:
        readiness.waiting(part, fault.message)


def _market_of(listing: Listing, symbol: str) -> MarketStatus:
    return listing.configured[symbol].market


class Engine:
    """Connects one exchange with one Redis."""

    def __init__(
        self,
        exchange: Exchange,
        redis: Redis,
        settings: TradingSettings,
        readiness: Readiness,
        metrics: Metrics,
    ) -> None:
        self._exchange = exchange
        self._redis = redis
        self._settings = settings
        self._readiness = readiness
        self._metrics = metrics
        self._trading: Trading | None = None
        self._redis_check = RedisCheck(redis)
        self._account = AccountHealth(SystemClock())
        self._halt = HaltWatch(
            redis, connector(exchange.name), lambda: exchange.world, SystemClock()
        )
        self._writer = StreamWriter(
            redis,
            before_writing=self._before_writing,
            on_up=self._redis_is_up,
            on_retry=partial(readiness.retrying, "redis"),
        )
        status = EventStream(connector(exchange.name), "connector_status")
        self._status = StatusPublisher(
            exchange.name,
            lambda: exchange.world,
            self._writer.stream(str(status), settings.events_maxlen, keep_all=False),
            lambda: self._writer.dropped,
            readiness,
        )
        metrics.watch(partial(writer_metrics, self._writer))
        metrics.watch(partial(venue_metrics, exchange.stats))
        metrics.watch(partial(trading_metrics, self._status))
        metrics.watch(partial(redis_metrics, self._redis_check))

    def _redis_is_up(self) -> None:
        self._readiness.ok("redis")
        self._status.changed()  # a status that waited may be outdated

    async def run(self, symbols: Sequence[str], symbols_setting: str) -> None:
        """Serve *symbols* until cancelled, or until a fatal error.

        *symbols_setting* is the setting's name in an error message.
        """
        # Determined before anything is written, as a Redis belongs to one world.
        await self._until_done("exchange", self._exchange.find_world)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writer.run())
            tasks.create_task(self._status.keep_publishing())
            # Not a task: at a stop it ends before the writer, which then writes the last messages.
            await self._serve(symbols, symbols_setting)

    async def _serve(self, symbols: Sequence[str], symbols_setting: str) -> None:
        listed = await self._until_done("exchange", partial(self._exchange.instruments, symbols))
        listing = Listing(
            self._exchange.instruments, choose(listed, symbols, setting=symbols_setting)
        )
        in_use = partial(symbols_in_use, self._redis, self._exchange.name)
        kept = await self._until_done(READS, in_use)
        await self._until_done("exchange", partial(listing.serve_all, kept))
        subscriptions = [
            SymbolSubscription(
                instrument,
                Publisher(self._writer, self._exchange.name, instrument.symbol, self._settings),
                FeedStatus(instrument.symbol, self._readiness),
                await self._until_done(READS, partial(self._last_trade, instrument)),
            )
            for instrument in listing.configured.values()
        ]
        for subscription in subscriptions:
            symbol = subscription.instrument.symbol
            subscription.status.market = partial(_market_of, listing, symbol)
            subscription.status.on_market = partial(listing.market_says, symbol)
        listing.on_change = self._status.changed
        instrument_publisher = InstrumentPublisher(
            self._exchange.name, self._redis, listing.configured, self._claim_world
        )
        self._status.watch([subscription.status for subscription in subscriptions])
        self._metrics.watch(partial(feed_metrics, subscriptions))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._exchange.stream_market_data(subscriptions))
            tasks.create_task(self._orders(subscriptions, listing, instrument_publisher))
            tasks.create_task(listing.keep_fresh(in_use))
            tasks.create_task(instrument_publisher.keep_publishing())

    async def _orders(
        self,
        subscriptions: Sequence[SymbolSubscription],
        listing: Listing,
        instruments: InstrumentPublisher,
    ) -> None:
        """Serve orders; the pre-trade checks read the live books of *subscriptions*."""
        publishers = {
            subscription.instrument.symbol: subscription.publisher for subscription in subscriptions
        }

        def book(symbol: str) -> LiveBook | None:
            return publishers[symbol].live_book

        def mark(symbol: str) -> Decimal | None:
            live = book(symbol) if symbol in publishers else None
            return None if live is None else middle(live)

        self._trading = trading = self._exchange.trading(listing, book)
        checks = (
            None
            if trading is None
            else PreTradeRisk(
                self._exchange.world,
                self._settings,
                trading.rules,
                listing.configured,
                book,
                OrderLimits(
                    self._redis,
                    connector(self._exchange.name),
                    self._settings,
                    self._halt.reason_after,
                    mark,
                ).reserve,
                lambda: self._redis_check.fault,
                lambda: self._account.fault,
            )
        )
        await self._until_done(READS, self._redis_check.poll)
        if self._trading is not None:
            await self._until_done(READS, self._begin_trading)
        self._redis_check.on_change = self._account.on_change = self._publish_trading_status
        self._halt.on_change = self._publish_trading_status
        self._publish_trading_status()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._redis_check.keep_polling(SystemClock()))
            if self._trading is not None:
                tasks.create_task(self._halt.keep_polling())
                roll = DayRoll(self._redis, connector(self._exchange.name), mark, publishers)
                tasks.create_task(roll.keep_rolling(SystemClock()))
                cancelling = cancel_when_full(self._halt.full, self._trading.account, SystemClock())
                tasks.create_task(cancelling)
                if (fees := self._trading.fees) is not None:
                    clock, publish = self._trading.clock, instruments.set_fees
                    fresh = keep_fees_fresh(fees, clock, listing.configured, publish)
                    tasks.create_task(fresh)
            await serve_orders(
                self._exchange.name,
                trading,
                self._redis,
                self._settings,
                self._readiness,
                self._metrics,
                self._exchange.stats,
                self._account,
                checks=checks,
                halted=self._halted,
                on_progress=self._status.cancelling,
            )

    async def _begin_trading(self) -> None:
        await self._claim_world()
        await self._halt.start()

    @property
    def _without_live_switch(self) -> bool:
        return self._exchange.world == "live" and self._settings.live_trading != LIVE

    async def _halted(self) -> Rejection | None:
        """Why trading is halted; None without the live switch, which `PreTradeRisk` checks."""
        return None if self._without_live_switch else await self._halt.halted()

    def _publish_trading_status(self) -> None:
        """Publish why new orders are rejected, with their reason code, or that they are not."""
        redis, account = self._redis_check.fault, self._account.fault
        if self._trading is None:
            self._status.trading("no_credentials")
            return
        _report(self._readiness, "account", account)
        if self._without_live_switch:
            self._status.trading("trading_disabled")
            return
        if redis is None:
            self._readiness.ok("redis_settings")
        else:
            self._readiness.waiting(
                "redis_settings", redis.message, blocked=redis != NOT_CHECKED_YET
            )
        fault = redis or account or self._halt.fault
        if fault is None:
            self._status.trading(None)
        else:
            self._status.trading(fault.reason_code, fault.message)

    async def _until_done(self, part: str, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat *call* until it succeeds; meanwhile /ready shows why *part* is not ready."""
        delays = full_jitter()
        failures = FailureLog("start_waits", part=part)
        while True:
            try:
                result = await call()
            except (TransientError, RejectedError, FeedStoppedError) as e:
                pause = max(next(delays), patience(e))
                self._readiness.retrying(part, failures.retrying(e, pause))
                self._status.changed()
                await asyncio.sleep(pause)
            else:
                failures.over()
                self._readiness.ok(part)
                return result

    async def _before_writing(self) -> None:
        await self._claim_world()
        await self._redis_check.poll()  # it may be another Redis

    async def _claim_world(self) -> None:
        """Claim this Redis for our world, before anything is written to it.

        Raises:
            TransientError: Redis failed.
            FatalError: it holds another world's data.
        """
        world = self._exchange.world
        key = state_key(connector(self._exchange.name), "world")
        setting = cast("Awaitable[bytes | None]", self._redis.set(key, world, nx=True, get=True))
        found = await reading(setting)
        if found is not None and found.decode() != world:
            raise FatalError(
                f"this Redis holds {found.decode()} data and this connector is for {world}: "
                f"use another REDIS_URL, or, if the data may go, delete the key {key}"
            )

    async def _last_trade(self, instrument: Instrument) -> LastTrade | None:
        """The last trade in the stream, at which an earlier run stopped; None if there is none."""
        stream = MarketStream.of(self._exchange.name, instrument.symbol, "trades")
        entries: Any = await reading(self._redis.xrevrange(str(stream), count=1))
        if not entries:
            return None
        try:
            trade = Trade.model_validate_json(entries[0][1][b"data"])
            return LastTrade(int(trade.trade_id or ""), round(trade.timestamp.timestamp() * 1000))
        except (KeyError, ValueError, ValidationError) as e:
            log.warning("last_trade_unreadable", stream=str(stream), error=str(e))
            return None
