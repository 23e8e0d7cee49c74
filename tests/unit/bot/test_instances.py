"""What the release before instances had names saved: all of it is found again."""

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.bot import saved_state
from services.bot.portfolio import Portfolio
from services.bot.strategy_config import read
from services.bot.strategy_host import StrategyHost

KEY = "rsi_reversion:binance:BTC/USDT"
ENTRY = f"{KEY}:0.001"
MARKETS = {"binance": ("BTC/USDT",)}
ORDER = {
    "id": "bot-2",
    "strategy": KEY,
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "type": "limit",
    "quantity": "0.001",
    "price": "60000",
    "reason": "so",
    "caused_by": [],
    "sent_at": 1.0,
    "state": "sent",
    "order_id": None,
    "filled": "0",
    "spent": "0",
    "fees_paid": {},
    "fees_counted_to": "0",
    "cancel_asked_at": 0.0,
    "command_id": None,
    "unresolved": None,
    "fill_ids": [],
    "fill_quantity": "0",
    "fill_spent": "0",
}
HOLDING = {
    "quantity": "0.000999",
    "cash": "-64.0000",
    "price": "64000.0",
    "day": "2026-11-22",
    "profit_at_midnight": "0.0",
    "priced_at": 1795348800.0,
    "quantity_at_midnight": "0",
    "price_at_midnight": "64000.0",
    "midnight_priced_at": 0.0,
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "fees_unvalued": {},
}
REST = {
    "sent": [],
    "holdings": {KEY: HOLDING},
    "balances": [],
    "strategies": {KEY: {"oversold": True}},
    "rejections": {},
}
SAVED = {"order:bot-2": json.dumps(ORDER).encode(), "rest": json.dumps(REST).encode()}


@pytest.mark.parametrize(
    "entries",
    [
        [ENTRY],
        [f"{ENTRY}?oversold=20&period=7"],
        [f"{KEY}:5"],
        [f"{ENTRY}?as=other", ENTRY],
    ],
)
def test_what_an_earlier_release_saved_is_the_instances_without_a_name(entries: list[str]) -> None:
    """Position, open order and state, whatever its parameters and whoever is beside it."""
    known = saved_state.decode(SAVED)
    portfolio = Portfolio()
    portfolio.restore(known.state)
    host = StrategyHost(read(entries, MARKETS), cast(Any, SimpleNamespace()), cast(Any, None))
    host.restore(known.states)
    states = {key: cast(Any, each.strategy).state for key, each in host.running.items()}
    assert states.pop(KEY) == {"oversold": True}
    assert list(states.values()) == [{}] * (len(entries) - 1)
    held = portfolio.held(KEY)
    assert held is not None
    assert held.quantity == Decimal("0.000999")
    assert [order.id for order in portfolio.pending(KEY)] == ["bot-2"]
    assert not portfolio.pending(f"{KEY}:other")
