"""`make run` on a terminal: tables of the current state, below the messages."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common_models import ConnectorStatusEvent, DecisionEvent, PortfolioEvent, Ticker
from common_models.stream_names import EventStream, MarketStream
from services._runtime.entry_ids import entry_milliseconds
from services._runtime.redis_client import open_redis
from services._runtime.text_sanitizing import escape_control_characters

REFRESH_INTERVAL = 0.5
DECISIONS_SHOWN = 6
# Each decision has several events: sent, answered, filled.
STEPS_READ = 5 * DECISIONS_SHOWN
# In seconds: an older price is marked.
STALE_AFTER = 5.0

M = TypeVar("M", bound=BaseModel)
Markets = Mapping[str, Sequence[str]]  # by exchange


@dataclass(frozen=True, slots=True)
class ScreenSnapshot:
    """The state in Redis at one moment; None or empty: not in Redis."""

    tickers: dict[tuple[str, str], tuple[Ticker, float]] = field(
        default_factory=dict
    )  # with age in seconds
    statuses: dict[str, ConnectorStatusEvent] = field(default_factory=dict)
    portfolio: PortfolioEvent | None = None
    decisions: list[DecisionEvent] = field(default_factory=list)


async def read(redis: Redis, markets: Markets) -> ScreenSnapshot:
    """Read everything that is shown, in one round trip.

    Raises:
        RedisError, OSError: Redis can't be read.
    """
    pairs = [(exchange, symbol) for exchange, symbols in markets.items() for symbol in symbols]
    async with redis.pipeline(transaction=False) as ask:
        ask.time()
        for exchange, symbol in pairs:
            ask.xrevrange(str(MarketStream.of(exchange, symbol, "ticker")), count=1)
        for exchange in markets:
            ask.xrevrange(str(EventStream(f"{exchange}_connector", "connector_status")), count=1)
        ask.xrevrange(str(EventStream("bot", "portfolio")), count=1)
        ask.xrevrange(str(EventStream("bot", "decision")), count=STEPS_READ)
        (seconds, micro), *found = await ask.execute()
    now, replies = seconds + micro / 1e6, iter(found)
    tickers = {
        pair: (ticker, max(0.0, now - at))
        for pair in pairs
        for at, ticker in _entries(Ticker, next(replies))
    }
    statuses = {
        exchange: status
        for exchange in markets
        for _, status in _entries(ConnectorStatusEvent, next(replies))
    }
    portfolio = next((event for _, event in _entries(PortfolioEvent, next(replies))), None)
    decisions = [event for _, event in _entries(DecisionEvent, next(replies))]
    return ScreenSnapshot(tickers, statuses, portfolio, decisions[::-1])


def _entries(model: type[M], entries: Any) -> Iterator[tuple[float, M]]:
    """The valid messages in *entries*, each with its time in Unix seconds by Redis's clock."""
    for entry_id, fields in entries:
        with suppress(ValidationError):
            message = model.model_validate_json(fields.get(b"data", b""))
            yield entry_milliseconds(entry_id) / 1000, message


def shown(snapshot: ScreenSnapshot, now: datetime) -> RenderableType:
    """The state as tables."""
    tables: list[RenderableType] = [Text(_clock(now), style="bold"), _markets(snapshot)]
    if snapshot.portfolio is not None:
        if snapshot.portfolio.halted is not None:
            tables.append(_text(f"HALTED: {snapshot.portfolio.halted}", "bold red"))
        tables += [_positions(snapshot.portfolio), _orders(snapshot.portfolio)]
        for each in snapshot.portfolio.strategies:
            if each.waits_for is not None:
                tables.append(_text(f"{each.strategy} waits for {each.waits_for}", "yellow"))
    if snapshot.decisions:
        tables.append(_decisions(snapshot.decisions))
    return Group(*tables)


def _clock(now: datetime) -> str:
    local = now.astimezone()
    return f"{now:%H:%M:%S} UTC, here {local:%H:%M:%S %Z}"


def _markets(snapshot: ScreenSnapshot) -> Table:
    table = _table("market", "last", "bid", "ask", "age", "state", right=("last", "bid", "ask"))
    for (exchange, symbol), (ticker, age) in snapshot.tickers.items():
        old = "red" if age > STALE_AFTER else ""
        prices = (ticker.last_price, ticker.bid_price, ticker.ask_price)
        table.add_row(
            _text(f"{exchange} {symbol}"),
            *(_number(price) for price in prices),
            _text(f"{age:.1f} s", old),
            _state(snapshot.statuses.get(exchange), symbol),
        )
    return table


def _state(status: ConnectorStatusEvent | None, symbol: str) -> Text:
    """The state of a symbol's feed, and the reason if orders are rejected."""
    if status is None:
        return Text("unknown", style="yellow")
    state = next((each.state for each in status.symbols if each.symbol == symbol), "unknown")
    found = _text(state, "green" if state in ("live", "polled") else "red")
    if not status.trading:
        found.append_text(_text(f", no orders: {status.reason_code}", "yellow"))
    return found


def _positions(portfolio: PortfolioEvent) -> Table:
    right = ("position", "price", "profit", "today")
    table = _table("strategy", *right, right=right)
    for each in portfolio.positions:
        quote = each.symbol.partition("/")[2]
        stopped = f" (stopped: {each.stopped})" if each.stopped else ""
        table.add_row(
            _text(each.strategy + stopped, "red" if stopped else ""),
            _number(each.quantity),
            _number(each.price),
            _money(each.profit, quote),
            _money(each.profit_today, quote),
        )
    return table


def _orders(portfolio: PortfolioEvent) -> RenderableType:
    if not portfolio.open_orders:
        return Text("no open orders", style="dim")
    table = _table("open order", "price", "filled", "state", right=("price", "filled"))
    for each in portfolio.open_orders:
        table.add_row(
            _text(f"{each.exchange} {each.side} {_number(each.quantity)} {each.symbol}"),
            _number(each.price),
            _number(each.filled_quantity),
            _text(each.state),
        )
    return table


def _decisions(steps: Sequence[DecisionEvent]) -> Table:
    """The latest decisions, each with its latest event."""
    latest: dict[str, DecisionEvent] = {}
    for each in steps:
        latest.pop(each.decision_id, None)
        latest[each.decision_id] = each
    table = _table("decided", "what", "came of it", "why")
    for each in list(latest.values())[-DECISIONS_SHOWN:]:
        what = f"{each.strategy}: {each.side} {_number(each.quantity)}"
        columns = what, _outcome(each), each.reason
        table.add_row(f"{each.timestamp:%H:%M:%S}", *(_text(text) for text in columns))
    return table


def _outcome(decision: DecisionEvent) -> str:
    match decision.outcome:
        case "refused" | "lost" as outcome:
            return f"{outcome}: {decision.refusal or decision.reason_code}"
        case "answered" | "updated" if decision.average_price is not None:
            return f"{decision.order_status} at {_number(decision.average_price)}"
        case "answered" | "updated":
            return str(decision.order_status)
        case outcome:
            return outcome


def summary(snapshot: ScreenSnapshot, seconds: float) -> str:
    """The message at the end: the duration, and each strategy's position and profit."""
    lines = [f"Ran for {seconds:.0f} s."]
    for each in snapshot.portfolio.positions if snapshot.portfolio else ():
        quote = each.symbol.partition("/")[2]
        held = f"holds {_number(each.quantity)}, profit {_money(each.profit, quote)}"
        lines.append(f"  {each.strategy}: {held}")
    return "\n".join(lines)


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _text(text: str, style: str = "") -> Text:
    """Foreign text, with markup and control characters escaped."""
    return Text(escape_control_characters(text), style=style)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{Decimal(f'{value:.10g}'):,f}"


def _money(value: float | None, quote: str) -> str:
    return "-" if value is None else f"{value:+,.2f} {quote}"


@asynccontextmanager
async def screen(redis_url: str, markets: Markets) -> AsyncIterator[None]:
    """Refresh the tables while the block runs, then print the summary."""
    loop = asyncio.get_running_loop()
    began, last = loop.time(), ScreenSnapshot()
    try:
        with Live(console=Console(), auto_refresh=False, transient=True) as live:
            async with open_redis(redis_url, "make_run_screen") as redis:

                async def keep_showing() -> None:
                    nonlocal last
                    while True:
                        with suppress(RedisError, OSError):  # the log lines report a failed Redis
                            last = await read(redis, markets)
                        live.update(shown(last, datetime.now(UTC)), refresh=True)
                        await asyncio.sleep(REFRESH_INTERVAL)

                showing = asyncio.create_task(keep_showing())
                try:
                    yield
                finally:
                    showing.cancel()
                    await asyncio.wait([showing])
                    if not showing.cancelled():
                        showing.result()  # raises its error
    finally:
        sys.stdout.write(summary(last, loop.time() - began) + "\n")
        sys.stdout.flush()
