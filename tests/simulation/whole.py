"""A connector with all of its order wing: the product's `serve_orders` runs in one process."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

from common_models.stream_names import HALT, connector
from services._connector_kit.clock import VenueClock
from services._connector_kit.errors import TransientError
from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.orders import service
from services._connector_kit.orders.account.account_health import AccountHealth
from services._connector_kit.orders.account.open_symbols import symbols_in_use
from services._connector_kit.orders.execution.validation import OrderRules
from services._connector_kit.orders.ports import Rejection
from services._connector_kit.orders.risk.order_limits import OrderLimits
from services._connector_kit.orders.risk.pre_trade_risk import PreTradeRisk
from services._connector_kit.orders.service import serve_orders
from services._connector_kit.orders.settings import TradingSettings
from services._connector_kit.orders.trading import Trading
from services._runtime import supervise
from services._runtime.halt import halt_reason
from services._runtime.health import Readiness
from services._runtime.redis_commands import Command
from services._runtime.redis_transaction import at_once
from tests.simulation import loop as virtual
from tests.simulation.account_book import Account
from tests.simulation.account_port import WholePort
from tests.simulation.connector import ClockPort
from tests.simulation.loop import OWNER
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.redis import EPOCH, FaultyRedis
from tests.simulation.redis_client import Client
from tests.simulation.view import EXCHANGE
from tests.simulation.whole_plan import SYMBOLS, RunSettings

RULES = OrderRules("the venue", re.compile(r".+", re.DOTALL), "any text")
LIMITS = {"USDT": Decimal(1_000_000)}


class _Side:
    """One side of a book with much at one price."""

    def __init__(self, best: float) -> None:
        self.best = best

    def top(self, depth: int) -> list[tuple[float, float]]:
        """The one level."""
        return [(self.best, 1e6)][:depth]

    def __len__(self) -> int:
        return 1


PRICE = Decimal(100)
LEAST_PRICE = Decimal(99)  # no order is worth less a unit
BOOK: Any = SimpleNamespace(bids=_Side(99.0), asks=_Side(101.0))


class Machine:
    """The clocks of the machine that a process runs on."""

    def __init__(self, plan: Plan, started: float, wall_error: float) -> None:
        self._loop = virtual.current()
        steps = plan.whole.wall_steps if plan.whole else ()
        # A machine is switched on with its clock right: until the venue's is measured, it counts.
        self._steps = [step for step in steps if step.at > started]
        self._booted = started - 1000.0
        self._wall_error = wall_error

    def steady(self) -> int:
        """Milliseconds since it was switched on."""
        return int((self._loop.time() - self._booted) * 1000)

    def wall(self) -> int:
        """Unix time, as somebody has set it."""
        now = self._loop.time()
        set_by = sum(step.seconds for step in self._steps if step.at <= now)
        return int(EPOCH + (now + set_by + self._wall_error) * 1000)


def _settings(plan: Plan, consumer: str) -> Any:
    most_held = plan.whole.most_held if plan.whole else None
    return TradingSettings.model_construct(
        redis_url="redis://simulated",
        instance_id=consumer,
        order_lease=10.0 if plan.lease else 0.001,
        order_take_over_after=plan.idle / 1000,
        risk_max_notional=LIMITS,
        risk_price_collar=Decimal(1),
        risk_orders_per_minute=1000,
        risk_max_open_orders=1000,
        risk_max_position=LIMITS if most_held is None else {"USDT": most_held * LEAST_PRICE},
        risk_max_daily_loss=LIMITS,
        risk_max_quantity={symbol.partition("/")[0]: Decimal(1_000_000) for symbol in SYMBOLS},
    )


def _instrument(symbol: str, settings: RunSettings) -> Instrument:
    base, _, quote = symbol.partition("/")
    rules = TradingRules(price=Range(step=Decimal(1)), quantity=Range(step=settings.lot))
    return Instrument(symbol, symbol.replace("/", ""), base, quote, trading=True, rules=rules)


async def _halted_after(client: Any, *commands: Command) -> tuple[list[Any], str | None]:
    """The replies, and the halt switch where an operator has resumed after each loss of data."""
    *replies, halt = await at_once(client, *commands, ("GET", HALT))
    return replies, halt_reason(b"an operator", halt)


async def _halted(client: Any) -> Rejection | None:
    """What an order that waits is told of the halt switch."""
    with suppress(TransientError):
        _, reason = await _halted_after(client)
        return None if reason is None else Rejection("halted", reason)
    return None


class WholeConnector:
    """One run of a connector, as one consumer."""

    def __init__(
        self,
        process: Process,
        consumer: str,
        plan: Plan,
        settings: RunSettings,
        redis: FaultyRedis,
        account: Account,
        machine: Machine,
    ) -> None:
        self.process = process
        self._plan = plan
        self._settings = settings
        self._trading_settings = _settings(plan, consumer)
        self._redis = redis
        self._account = account
        self._clock = VenueClock(machine.steady, machine.wall)
        self.task = process.start(self._run())

    async def _run(self) -> None:
        client: Any = Client(self.process, self._redis)
        configured = {s: _instrument(s, self._settings) for s in self._settings.symbols}
        kept = await self._until_done(client)
        served = configured | {s: _instrument(s, self._settings) for s in kept if s in SYMBOLS}
        clock = ClockPort(self.process)
        health = AccountHealth(clock)
        settings = self._trading_settings
        checks = PreTradeRisk(
            "simulator",
            settings,
            RULES,
            configured,
            self._book,
            OrderLimits(
                client,
                connector(EXCHANGE),
                settings,
                partial(_halted_after, client),
                lambda _: PRICE,
            ).reserve,
            lambda: None,
            lambda: health.fault,
        )
        port = WholePort(self.process, self._account, self._clock, served)
        trading = Trading(port, RULES, port, self._clock, port.server_time)
        nobody: Any = SimpleNamespace(watch=lambda _: None)
        requests: Any = SimpleNamespace(seconds_for=lambda *_: 0.0)
        limits: Any = SimpleNamespace(requests=requests)
        stats: Any = SimpleNamespace(requests=_Uncounted(), limits=limits)
        await serve_orders(
            EXCHANGE,
            trading,
            client,
            settings,
            Readiness(),
            nobody,
            stats,
            health,
            checks=checks,
            halted=partial(_halted, client),
            on_progress=lambda *_: None,
        )

    async def _until_done(self, client: Any) -> set[str]:
        while True:
            try:
                return await symbols_in_use(client, EXCHANGE)
            except TransientError:
                await self.process.sleep(1.0)

    def _book(self, _symbol: str) -> Any:
        now = virtual.current().time()
        gaps: Sequence[tuple[float, float]] = self._plan.whole.book_gaps if self._plan.whole else ()
        return None if any(begin <= now < end for begin, end in gaps) else BOOK


class _Uncounted(dict[str, int]):
    """Requests by outcome, which nobody reads."""

    def __missing__(self, _: str) -> int:
        return 0


class _Clock:
    """The port `Clock` of whichever process runs."""

    def __init__(self) -> None:
        self._port = ClockPort(_process())

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._port.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._port.sleep(seconds)


def _process() -> Process:
    process = OWNER.get()
    assert isinstance(process, Process)
    return process


@contextmanager
def in_world(redis: Callable[[], FaultyRedis], rng: Any) -> Iterator[None]:
    """Let `serve_orders` reach the simulated Redis and clocks, and draw its jitter from *rng*."""

    def open_redis(_url: str, _name: str, *, single: bool) -> AbstractAsyncContextManager[Any]:
        return nullcontext(Client(_process(), redis(), single=single))

    jitter: Mapping[str, Any] = {"Random": lambda: rng}
    with (
        mock.patch.object(service, "open_redis", open_redis),
        mock.patch.object(service, "SystemClock", _Clock),
        mock.patch.object(supervise, "random", SimpleNamespace(**jitter)),
    ):
        yield
