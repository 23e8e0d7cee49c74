"""The screen of `make run`: what is on it, and what it says at the end."""

import re
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from redis.asyncio import Redis
from rich.console import Console

from common_models import (
    ConnectorStatusEvent,
    DecisionEvent,
    PortfolioEvent,
    RunningStrategy,
    SymbolStatus,
    Ticker,
)
from common_models.bot_models import OpenOrder, StrategyPosition
from services._local.screen import ScreenSnapshot, read, shown, summary

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TICKER = Ticker(
    symbol="BTC/USDT",
    timestamp=AT,
    last_price=91_000.5,
    bid_price=91_000,
    ask_price=91_001,
    exchange="binance",
)
STATUS = ConnectorStatusEvent(
    exchange="binance",
    world="simulator",
    trading=True,
    symbols=[SymbolStatus(symbol="BTC/USDT", state="live", since=AT)],
)
PORTFOLIO = PortfolioEvent(
    mode="paper",
    positions=[
        StrategyPosition(
            strategy="dip:binance:BTC/USDT",
            exchange="binance",
            symbol="BTC/USDT",
            quantity=0.000006,
            price=91_000.5,
            profit=-1.5,
            profit_today=2.25,
        )
    ],
    open_orders=[
        OpenOrder(
            client_order_id="bot-1",
            strategy="dip",
            exchange="binance",
            symbol="BTC/USDT",
            side="buy",
            type="limit",
            quantity=0.002,
            price=90_000,
            filled_quantity=0.0005,
            state="partially_filled",
        )
    ],
)


def decision(**fields: Any) -> DecisionEvent:
    """The dip strategy wants to buy."""
    usual = {
        "decision_id": "bot-1",
        "strategy": "dip",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "outcome": "sent",
        "mode": "paper",
        "side": "buy",
        "type": "market",
        "quantity": 0.001,
        "reason": "it fell",
        "timestamp": AT,
    }
    return DecisionEvent.model_validate({**usual, **fields})


def written(snapshot: ScreenSnapshot) -> str:
    """What is written to a terminal of 80 columns without colours."""
    out = StringIO()
    Console(file=out, width=80, force_terminal=True, no_color=True).print(shown(snapshot, AT))
    return re.sub(r"\x1b\[\d*m", "", out.getvalue())


def text(snapshot: ScreenSnapshot) -> str:
    """What a terminal of 80 columns shows; each run of blanks is one."""
    return "\n".join(" ".join(line.split()) for line in written(snapshot).splitlines())


def test_an_empty_redis_shows_the_time() -> None:
    """In UTC and as it is here."""
    assert text(ScreenSnapshot()).startswith("03:04:05 UTC, here ")


def test_markets_positions_orders_and_decisions_are_shown() -> None:
    """With profit in the quote asset, and what came of each decision, and why it was made."""
    decisions = [
        decision(),
        decision(decision_id="bot-2", outcome="refused", refusal="RISK_MAX_POSITION is 1"),
        decision(decision_id="bot-3"),
        decision(outcome="answered", order_status="accepted"),
        decision(decision_id="bot-3", outcome="answered", order_status="accepted"),
        decision(outcome="updated", order_status="filled", average_price=91_001),
    ]
    tickers = {("binance", "BTC/USDT"): (TICKER, 0.25)}
    found = text(ScreenSnapshot(tickers, {"binance": STATUS}, PORTFOLIO, decisions))
    for line in (
        "binance BTC/USDT 91,000.5 91,000 91,001 0.2 s live",
        "dip:binance:BTC/USDT 0.000006 91,000.5 -1.50 USDT +2.25 USDT",
        "binance buy 0.002 BTC/USDT 90,000 0.0005 partially_filled",
        "decided what came of it why",
        "03:04:05 dip: buy 0.001 refused: RISK_MAX_POSITION is 1 it fell",
        "03:04:05 dip: buy 0.001 accepted it fell",
        "03:04:05 dip: buy 0.001 filled at 91,001 it fell",
    ):
        assert line in found.splitlines(), found
    assert found.count("dip: buy") == 3  # a line each, however many steps it took
    assert "HALTED" not in found


def test_what_is_stopped_stands_out() -> None:
    """A halt, a connector that takes no orders, a strategy that failed."""
    stopped = PORTFOLIO.positions[0].model_copy(update={"stopped": "ValueError: x"})
    portfolio = PORTFOLIO.model_copy(update={"halted": "a trial", "positions": [stopped]})
    status = STATUS.model_copy(update={"trading": False, "reason_code": "halted"})
    tickers = {("binance", "BTC/USDT"): (TICKER, 9.0)}
    found = text(ScreenSnapshot(tickers, {"binance": status}, portfolio))
    assert "HALTED: a trial" in found
    assert "live, no orders: halted" in found
    assert "ValueError: x)" in found


def test_what_a_strategy_waits_for_is_shown() -> None:
    """So that nobody wonders why it decides nothing; one that waits for nothing has no line."""
    usual = {"exchange": "binance", "symbol": "BTC/USDT", "quantity": 1}
    waiting = [
        RunningStrategy(strategy="sma:a", waits_for="38 candles of 1m are missing", **usual),
        RunningStrategy(strategy="sma:b", **usual),
    ]
    shown_ = text(ScreenSnapshot({}, {}, PORTFOLIO.model_copy(update={"strategies": waiting}), []))
    assert "sma:a waits for 38 candles of 1m are missing" in shown_
    assert "sma:b" not in shown_


def test_the_end_says_for_how_long_it_ran_and_what_came_of_it() -> None:
    """Also where the bot never said anything."""
    assert summary(ScreenSnapshot(), 12.3) == "Ran for 12 s."
    assert summary(ScreenSnapshot(portfolio=PORTFOLIO), 90) == (
        "Ran for 90 s.\n  dip:binance:BTC/USDT: holds 0.000006, profit -1.50 USDT"
    )


async def test_the_state_is_read_from_redis_without_invalid_messages(redis: Redis) -> None:
    """Anybody may write to a stream."""
    assert await read(redis, {"binance": ["BTC/USDT"]}) == ScreenSnapshot()
    for stream, message in (
        ("binance:BTCUSDT:ticker", TICKER),
        ("binance_connector:events:connector_status", STATUS),
        ("bot:events:portfolio", PORTFOLIO),
        ("bot:events:decision", decision()),
    ):
        await redis.xadd(stream, {"data": message.model_dump_json()})
    await redis.xadd("bot:events:decision", {"data": "\x1b[2J"})
    found = await read(redis, {"binance": ["BTC/USDT"], "luno": ["XBT/ZAR"]})
    ((_, (ticker, age)),) = found.tickers.items()
    assert (ticker, age < 60) == (TICKER, True)
    assert (found.statuses, found.portfolio) == ({"binance": STATUS}, PORTFOLIO)
    assert found.decisions == [decision()]


@pytest.mark.parametrize("word", ["reason", "refusal"])
def test_the_terminal_obeys_nothing_of_what_lies_in_redis(word: str) -> None:
    """An escape sequence in a reason is spelled out or left out."""
    outcome = "refused" if word == "refusal" else "sent"
    snapshot = ScreenSnapshot(decisions=[decision(**{word: "a\x1b[2Jb[red]c"}, outcome=outcome)])
    assert "a\\x1b[2Jb[red]c" in written(snapshot)
