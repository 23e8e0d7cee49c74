"""The story of an order: which hops there are, in which order, and what is said of the missing."""

import json
from typing import Any

import pytest

from common_models.stream_names import BOT_ORDERS
from services.tradectl.order_trace.gather import OrderEntries
from services.tradectl.order_trace.hops import Hop, build_hops
from services.tradectl.reading import StreamEntry

NAME = "binance_connector"
TRADES, RSI = "binance:BTCUSDT:trades", "indicators:rsi_14:binance:BTCUSDT"


def entry(stream: str, at: int, **fields: Any) -> StreamEntry:
    """An entry of a stream."""
    return StreamEntry(stream, f"{at}-0", json.dumps(fields).encode())


def decision(at: int, outcome: str, **more: Any) -> StreamEntry:
    """A decision to buy."""
    wanted = {"strategy": "dip", "side": "buy", "quantity": 0.001, "symbol": "BTC/USDT"}
    return entry("bot:events:decision", at, outcome=outcome, reason="it fell", **wanted, **more)


def command(at: int) -> StreamEntry:
    """The order's command."""
    return entry(f"{NAME}:commands:place_order", at, symbol="BTC/USDT")


def answered(at: int, status: str, **more: Any) -> StreamEntry:
    """An answer to it."""
    return entry(f"{NAME}:events:order_response", at, status=status, **more)


def there(hops: list[Hop]) -> list[str]:
    """The names of the hops that are there."""
    return [hop.name for hop in hops if not hop.missing]


def missing(hops: list[Hop]) -> dict[str, str]:
    """What is said of those that aren't."""
    return {hop.name: hop.text for hop in hops if hop.missing}


def text(hops: list[Hop], name: str) -> str:
    """What the first hop of that name says."""
    return next(hop.text for hop in hops if hop.name == name)


def test_every_hop_is_shown_from_the_tick_to_the_fill() -> None:
    """Each hop in its place; what the bot heard of it, too."""
    found = OrderEntries(
        NAME,
        causes=[entry(TRADES, 1, price=9.0), entry(RSI, 2, value=20.0)],
        decisions=[decision(3, "sent"), decision(6, "answered", order_status="accepted")],
        commands=[command(3)],
        records=[entry(f"{NAME}:state:order:x", 4, state="closed", sent_quantity="0.001")],
        after=[
            answered(5, "accepted"),
            entry(f"{NAME}:events:order_status", 7, status="open", filled_quantity=0),
            entry(f"{NAME}:events:order_status", 8, status="filled", trades=[{"price": 1}]),
        ],
    )
    hops = build_hops(found)
    assert missing(hops) == {}
    assert there(hops) == [
        "tick",
        "indicator",
        "decision",
        "risk (bot)",
        "command",
        "risk (connector)",
        "journal",
        "response",
        "bot received",
        "status",
        "fill",
    ]
    assert text(hops, "decision") == "dip: buy 0.001 BTC/USDT: it fell"
    assert text(hops, "risk (bot)") == "passed the bot's limits; sent"


def test_of_an_order_by_hand_no_decision_is_missing() -> None:
    """The bot didn't place it."""
    hops = build_hops(OrderEntries(NAME, commands=[command(1)]))
    assert there(hops) == ["decision", "command"]
    assert text(hops, "decision") == "none: the bot didn't place this order"
    assert missing(hops).keys() == {"journal", "response"}
    assert "no connector has answered" in missing(hops)["response"]


def test_a_decision_that_was_trimmed_is_missing() -> None:
    """The bot's order has a command, and nothing says what led to it."""
    by_bot = entry(f"{NAME}:commands:place_order", 1, client_order_id=f"{BOT_ORDERS}1")
    hops = build_hops(OrderEntries(NAME, commands=[by_bot]))
    assert {"tick", "indicator", "decision", "risk (bot)"} <= missing(hops).keys()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("taken", "not answered yet"),
        ("unknown", "answered: unknown"),
        ("closed", "answered"),
        ("new", "new"),
    ],
)
def test_the_journals_state_is_that_of_the_answer(state: str, said: str) -> None:
    """An order that is open isn't "closed"."""
    record = entry(f"{NAME}:state:order:x", 1_234, state=state, sent_quantity="0.001")
    hops = build_hops(OrderEntries(NAME, commands=[command(1)], records=[record]))
    assert text(hops, "journal").startswith(f"{said} sent_quantity=0.001")
    assert "the request is of 00:00:01.234 by the exchange's clock" in text(hops, "journal")


def test_causes_that_were_trimmed_are_named() -> None:
    """Which entry it was, is in the decision."""
    hops = build_hops(
        OrderEntries(NAME, missing_causes=[f"{TRADES} 1-0"], decisions=[decision(3, "sent")])
    )
    assert missing(hops)["tick"] == f"no longer in its stream: {TRADES} 1-0"
    assert missing(hops)["indicator"] == "the decision names none"


@pytest.mark.parametrize(
    ("outcome", "risk"),
    [
        ("observed", "passed the bot's limits; not sent: BOT_MODE is observe"),
        ("refused", "refused: max_notional: too much"),
    ],
)
def test_a_decision_that_was_not_sent_says_why(outcome: str, risk: str) -> None:
    """And that there is no command isn't a mystery then."""
    fields = {"reason_code": "max_notional", "refusal": "too much"} if outcome == "refused" else {}
    hops = build_hops(OrderEntries(NAME, decisions=[decision(1, outcome, **fields)]))
    assert text(hops, "risk (bot)") == risk
    assert text(hops, "command") == "none was sent"
    assert missing(hops).keys() == {"tick", "indicator"}


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("rejected", "price_collar", "refused: price_collar"),
        ("rejected", "exchange_rejected", "passed the connector's limits; sent"),
        ("unknown", "outcome_unknown", "passed the connector's limits; sent"),
        ("rejected", "expired", "unknown: the answer is rejected (expired)"),
    ],
)
def test_the_connectors_check_is_read_from_its_answer(status: str, code: str, said: str) -> None:
    """What an answer doesn't prove isn't claimed."""
    hops = build_hops(
        OrderEntries(NAME, commands=[command(1)], after=[answered(2, status, reason_code=code)])
    )
    assert text(hops, "risk (connector)") == said


def test_an_order_that_was_asked_for_again_keeps_its_first_command() -> None:
    """Later ones come in their time."""
    hops = build_hops(
        OrderEntries(NAME, commands=[command(1), command(5)], after=[answered(2, "accepted")])
    )
    assert there(hops)[1:] == ["command", "risk (connector)", "response", "command again"]
    assert missing(hops)["status"] == "accepted, but no status is in the stream (yet, or any more)"


def test_what_a_timer_led_to_misses_no_tick() -> None:
    """No message came: the timer's moment is told instead."""
    found = OrderEntries(
        NAME, missing_causes=["timer 1700000000000-0"], decisions=[decision(3, "observed")]
    )
    hops = build_hops(found)
    assert missing(hops) == {}
    assert text(hops, "timer") == "none: the strategy's timer was due at 22:13:20.000"
