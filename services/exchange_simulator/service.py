"""The exchange simulator: both venues on one port, each market with its traders."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from services._runtime.health import Readiness, health_server
from services._runtime.lifecycle import FatalError
from services._runtime.metrics import Collect, Metrics
from services.exchange_simulator import control, pacing
from services.exchange_simulator.account import FeeRates, SimulatedAccount
from services.exchange_simulator.binance import rest as binance_rest
from services.exchange_simulator.binance import streams as binance_streams
from services.exchange_simulator.binance import trading as binance_trading
from services.exchange_simulator.binance import trading_rest as binance_trading_rest
from services.exchange_simulator.binance import ws_routes as binance_ws_api
from services.exchange_simulator.binance.exchange_info import WEIGHT_LIMIT
from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.binance.order_count import OrderCount
from services.exchange_simulator.binance.queries import BinanceVenue
from services.exchange_simulator.binance.signing import BinanceKey
from services.exchange_simulator.budget import MinuteBudget
from services.exchange_simulator.control import Controls
from services.exchange_simulator.fault_middleware import FaultMiddleware
from services.exchange_simulator.faults import FaultPlan
from services.exchange_simulator.instruments import Venue
from services.exchange_simulator.luno import rest as luno_rest
from services.exchange_simulator.luno import stream as luno_stream
from services.exchange_simulator.luno import trading as luno_trading
from services.exchange_simulator.luno.feed import LunoFeed
from services.exchange_simulator.luno.rest import CALLS_PER_MINUTE, LunoVenue
from services.exchange_simulator.luno.stream import ApiKey
from services.exchange_simulator.luno.user_feed import UserFeed
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.metrics import simulator_metrics
from services.exchange_simulator.settings import SimulatorSettings
from services.exchange_simulator.sockets import Connections
from services.exchange_simulator.state_file import StateFile
from services.exchange_simulator.stream_faults import AllStreamFaults
from services.exchange_simulator.traders import Traders
from services.exchange_simulator.venue_clock import SimulatedClock

log = structlog.get_logger()

# Maker and taker shares: Binance's first VIP level, less if paid in BNB; approximately Luno's.
FEES: Mapping[Venue, FeeRates] = {
    "binance": FeeRates(maker=90_000, taker=100_000, discount_asset="BNB"),
    "luno": FeeRates(maker=100_000, taker=250_000),
}


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator: its address, its markets by slash symbol, its feeds by pair."""

    host: str
    port: int
    markets: Mapping[str, SimulatedMarket]
    binance: Mapping[str, BinanceFeed]
    luno: Mapping[str, LunoFeed]
    accounts: Mapping[Venue, SimulatedAccount]
    metrics: Collect = tuple

    @property
    def http_url(self) -> str:
        """Luno's REST root; Binance's is this plus "/api"."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Root of both venues' streams; Binance's WebSocket API is this plus "/ws-api/v3"."""
        return f"ws://{self.host}:{self.port}"


def wall_clock_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


async def serve(settings: SimulatorSettings) -> None:
    """Run until cancelled."""
    readiness = Readiness("markets")
    metrics = Metrics("exchange_simulator")
    async with (
        health_server("exchange_simulator", settings, readiness, metrics),
        running_simulator(settings) as simulator,
    ):
        metrics.watch(simulator.metrics)
        readiness.ok("markets")
        log.info("simulator_ready", port=simulator.port, symbols=list(simulator.markets))
        await asyncio.Event().wait()


@asynccontextmanager
async def running_simulator(
    settings: SimulatorSettings, clock: Callable[[], int] = wall_clock_ms
) -> AsyncIterator[Simulator]:
    """Open the markets and serve both venues for the length of the block.

    Raises:
        FatalError: the port is taken.
    """
    clocks = {venue: SimulatedClock(clock) for venue in FEES}
    state = settings.simulator_state_file and StateFile(settings.simulator_state_file)
    begin = state.read() if state else 0
    markets = {
        i.symbol: SimulatedMarket(i, clocks[i.venue], begin, settings.simulator_first_id)
        for i in settings.instruments
    }
    binance = {name: BinanceFeed(market) for name, market in _by_pair(markets, "binance").items()}
    luno = {name: LunoFeed(market) for name, market in _by_pair(markets, "luno").items()}
    seed = settings.simulator_seed
    if seed == "random":
        seed = secrets.randbelow(1_000_000)
        log.info("seed_drawn", seed=seed)
    orders, phase = settings.simulator_book_orders, settings.phase_actions
    all_traders = {
        symbol: Traders(market, seed, orders, phase) for symbol, market in markets.items()
    }
    accounts = {venue: _account(venue, markets, settings) for venue in FEES}
    if state:
        state.restore_and_follow(accounts)
    for traders in all_traders.values():
        traders.open_market()
    key = ApiKey(settings.simulator_luno_api_key_id, settings.simulator_luno_api_secret_key)
    connections = Connections()
    binance_venue = BinanceVenue(
        binance, clocks["binance"], MinuteBudget(WEIGHT_LIMIT, clocks["binance"])
    )
    luno_venue = LunoVenue(
        luno, clocks["luno"], MinuteBudget(CALLS_PER_MINUTE, clocks["luno"]), key
    )
    binance_key = BinanceKey(
        settings.simulator_binance_api_key,
        settings.simulator_binance_api_secret,
        settings.simulator_binance_key_withdraws,
    )
    fault_middleware = FaultMiddleware(FaultPlan(seed), clocks, accounts)
    order_count = OrderCount(clocks["binance"])
    accounts["binance"].subscribe(order_count.on_account_event)
    app = build_app(
        Controls(
            fault_middleware,
            AllStreamFaults(fault_middleware.plan),
            accounts,
            clocks,
            all_traders,
            {"binance": binance, "luno": luno},
        ),
        binance_trading.BinanceTrading(
            binance_venue, accounts["binance"], binance_key, order_count
        ),
        luno_trading.LunoTrading(luno_venue, accounts["luno"]),
        connections,
    )
    async with _listening(app, settings) as port, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(pacing.drive(list(all_traders.values()), settings.simulator_rate)),
            group.create_task(pacing.tick(list(binance.values()))),
        ]
        try:
            read = partial(simulator_metrics, fault_middleware, connections, accounts, markets)
            yield Simulator(settings.simulator_host, port, markets, binance, luno, accounts, read)
        finally:
            for task in tasks:
                task.cancel()
            fault_middleware.stop()
            connections.end_all()
            if state:
                state.close()


def _account(
    venue: Venue, markets: Mapping[str, SimulatedMarket], settings: SimulatorSettings
) -> SimulatedAccount:
    own = {symbol: market for symbol, market in markets.items() if market.instrument.venue == venue}
    return SimulatedAccount(own, FEES[venue], settings.funds)


def build_app(
    controls: Controls,
    binance: binance_trading.BinanceTrading,
    luno: luno_trading.LunoTrading,
    connections: Connections,
) -> web.Application:
    """The application with both venues' routes; any other path is a 404 with an empty body."""

    async def unknown(_: web.Request) -> web.Response:
        return web.Response(status=404)

    fault_middleware, all_stream_faults = controls.fault_middleware, controls.all_stream_faults
    user = UserFeed(luno.account, luno.venue.clock)
    app = web.Application(middlewares=[fault_middleware.middleware()])
    app.add_routes(
        [
            *control.routes(controls),
            *binance_trading_rest.routes(binance),
            *binance_rest.routes(binance.venue),
            *binance_streams.routes(binance.venue, all_stream_faults, connections),
            *binance_ws_api.routes(binance, fault_middleware, all_stream_faults, connections),
            *luno_rest.routes(luno.venue),
            *luno_trading.routes(luno),
            *luno_stream.routes(
                luno.venue.feeds, user, luno.venue.key, all_stream_faults, connections
            ),
            web.route("*", "/{rest:.*}", unknown),
        ]
    )
    return app


@asynccontextmanager
async def _listening(app: web.Application, settings: SimulatorSettings) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.simulator_host, settings.simulator_port)
        try:
            await site.start()
        except OSError as e:
            raise FatalError(
                f"SIMULATOR_PORT={settings.simulator_port}: {e.strerror or e}; "
                "expected a free port, or 0 for any"
            ) from e
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


def _by_pair(markets: Mapping[str, SimulatedMarket], venue: str) -> dict[str, SimulatedMarket]:
    return {
        market.instrument.pair: market
        for market in markets.values()
        if market.instrument.venue == venue
    }
