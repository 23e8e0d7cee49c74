"""The hops of an order in sequence, with those that are missing. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from common_models.stream_names import (
    BOT_ORDERS,
    TIMER,
    CommandStream,
    EventStream,
    IndicatorStream,
    MarketStream,
    OperatorStream,
)
from services._runtime.entry_ids import entry_milliseconds
from services.tradectl.order_trace.gather import OrderEntries
from services.tradectl.reading import StreamEntry, parse_name, utc_time
from services.tradectl.show import number, summary

# Reason codes of the pre-trade checks: the order was rejected before it was sent.
PRE_TRADE_REASONS = frozenset(
    {
        "trading_disabled",
        "halt_unreadable",
        "halted",
        "redis_unfit",
        "account_unavailable",
        "key_refused",
        "symbol_not_trading",
        "post_only_mode",
        "book_out_of_sync",
        "no_liquidity",
        "percent_price",
        "max_notional",
        "price_collar",
        "max_quantity",
        "max_open_orders",
        "max_position",
        "max_daily_loss",
        "orders_per_minute",
    }
)
# The states of a journal record describe the answer, not the order.
RECORD_STATES = {"taken": "not answered yet", "unknown": "answered: unknown", "closed": "answered"}
# Outcomes of a decision event that report an answer or a fill to the bot.
REPORTED_OUTCOMES = frozenset({"answered", "updated"})
RECEIVED_OUTCOMES = REPORTED_OUTCOMES | {"cancel_sent", "cancel_dropped", "lost"}


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of an order; without an `entry`, `text` says why it is missing or not needed.

    `none`: the step is not needed. `aside`: its time is outside the sequence, because it is the
    exchange's, or that of a later hop.
    """

    name: str
    text: str
    entry: StreamEntry | None = None
    aside: bool = False
    none: bool = False

    @property
    def missing(self) -> bool:
        """True if there should be an entry."""
        return self.entry is None and not self.none


def build_hops(found: OrderEntries) -> list[Hop]:
    """Tick, indicator, decision, risk, command, journal, and all later events, in this order."""
    return [
        *_causes(found),
        *_decision(found),
        *_command(found),
        *_connector_risk(found),
        *_journal(found),
        *_after(found),
    ]


def _causes(found: OrderEntries) -> Iterator[Hop]:
    if not found.decisions:
        if not _placed_elsewhere(found):
            for name in ("tick", "indicator"):
                yield Hop(name, "without a decision, the cause of the order is unknown")
        return
    timer = next((cause for cause in found.missing_causes if cause.startswith(f"{TIMER} ")), None)
    if timer is not None:
        due = entry_milliseconds(timer.partition(" ")[2])
        at = utc_time(due).time().isoformat("milliseconds")
        yield Hop("timer", f"none: the strategy's timer was due at {at}", none=True)
        return
    names = [_cause_name(entry) for entry in found.causes]
    for name in ("tick", "indicator"):
        if name not in names:
            yield Hop(name, _why_no_cause(name, found))
    for name, entry in zip(names, found.causes, strict=True):
        yield Hop(name, _content(entry, "symbol", "exchange", "caused_by"), entry)


def _cause_name(entry: StreamEntry) -> str:
    return _kind(entry.stream)


def _kind(stream: str) -> str:
    match parse_name(stream):
        case MarketStream():
            return "tick"
        case IndicatorStream():
            return "indicator"
        case _:
            return "cause"


def _why_no_cause(name: str, found: OrderEntries) -> str:
    missing_causes = [
        cause for cause in found.missing_causes if _kind(cause.partition(" ")[0]) == name
    ]
    if missing_causes:
        return f"no longer in its stream: {', '.join(missing_causes)}"
    return "the decision names none"


def _decision(found: OrderEntries) -> Iterator[Hop]:
    if not found.decisions:
        if _placed_elsewhere(found):
            yield Hop("decision", "none: the bot didn't place this order", none=True)
        else:
            yield Hop("decision", "bot:events:decision no longer holds the decision")
            yield Hop("risk (bot)", "without a decision, the bot's checks are unknown")
        return
    first = found.decisions[0]
    fields = first.fields
    wanted = " ".join(number(fields.get(name)) for name in ("side", "quantity", "symbol"))
    at = f" at {number(fields['price'])}" if fields.get("price") else ""
    reason = f"{fields.get('strategy')}: {wanted}{at}: {fields.get('reason')}"
    yield Hop("decision", reason, first)
    match fields.get("outcome"):
        case "sent":
            text = "passed the bot's limits; sent"
        case "observed":
            text = "passed the bot's limits; not sent: BOT_MODE is observe"
        case "refused":
            text = f"refused: {fields.get('reason_code')}: {fields.get('refusal')}"
        case outcome:
            text = f"unknown: the oldest event of the decision that remains is {outcome!r}"
    yield Hop("risk (bot)", text, first)


def _placed_elsewhere(found: OrderEntries) -> bool:
    """True if the order's id does not have the bot's prefix."""
    named = [*found.commands, *found.records, *found.dead_letters, *found.after]
    ids = [str(entry.fields.get("client_order_id", "")) for entry in named]
    return not any(each.startswith(BOT_ORDERS) for each in ids)


def _not_sent(found: OrderEntries) -> bool:
    """True if the bot decided and sent nothing."""
    outcome = found.decisions[0].fields.get("outcome") if found.decisions else None
    return not found.commands and outcome in ("observed", "refused")


def _command(found: OrderEntries) -> Iterator[Hop]:
    if _not_sent(found):
        yield Hop("command", "none was sent", none=True)
    elif not found.commands and not found.dead_letters:
        yield Hop("command", "none with this id is in a place_order stream (any more)")
    for entry in found.commands[:1]:  # repeated commands are listed later, by time
        yield Hop("command", _content(entry, "client_order_id"), entry)
    for entry in found.dead_letters:
        yield Hop("dead letter", _content(entry, "content", "encoding"), entry)


def _responses(found: OrderEntries) -> list[StreamEntry]:
    return [entry for entry in found.after if _after_name(entry) == "response"]


def _connector_risk(found: OrderEntries) -> Iterator[Hop]:
    responses = _responses(found)
    if not responses:
        return
    entry = responses[0]
    status, code = entry.fields.get("status"), entry.fields.get("reason_code")
    if code in PRE_TRADE_REASONS:
        text = f"refused: {code}"
    elif status in ("accepted", "unknown") or code == "exchange_rejected":
        text = "passed the connector's limits; sent"
    else:
        text = f"unknown: the answer is {status} ({code})"
    yield Hop("risk (connector)", text, entry, aside=True)


def _journal(found: OrderEntries) -> Iterator[Hop]:
    if not found.records and not _not_sent(found):
        yield Hop("journal", "no record: never claimed, or answered more than 7 days ago")
    for entry in found.records:
        fields = entry.fields
        names = ("entry_id", "sent_quantity", "sent_price", "provisional", "validity")
        shown = summary({name: fields.get(name) for name in names})
        state = RECORD_STATES.get(str(fields.get("state")), str(fields.get("state")))
        signed = utc_time(entry.milliseconds).time().isoformat("milliseconds")
        text = f"{state} {shown}; the request is of {signed} by the exchange's clock"
        yield Hop("journal", text, entry, aside=True)


def _after(found: OrderEntries) -> Iterator[Hop]:
    received = [
        entry for entry in found.decisions if entry.fields.get("outcome") in RECEIVED_OUTCOMES
    ]
    answered = bool(_responses(found))
    if not answered and (found.commands or found.records):
        yield Hop("response", "no connector has answered")
    names = []
    for entry in sorted(
        [*found.commands[1:], *found.after, *received], key=lambda entry: entry.sort_key
    ):
        names.append(_after_name(entry))
        yield Hop(names[-1], _content(entry, "client_order_id", "symbol", "exchange"), entry)
    accepted = any(entry.fields.get("status") == "accepted" for entry in _responses(found))
    if accepted and not {"status", "fill"} & set(names):
        yield Hop("status", "accepted, but no status is in the stream (yet, or any more)")


_AFTER = {"order_response": "response", "command_response": "answer", "decision": "bot received"}


def _after_name(entry: StreamEntry) -> str:
    match parse_name(entry.stream):
        case EventStream(event="order_status"):
            return "fill" if entry.fields.get("trades") else "status"
        case EventStream(event="decision") if entry.fields.get("outcome") not in REPORTED_OUTCOMES:
            return "decision"
        case EventStream(event=event):
            return _AFTER.get(event, event)
        case OperatorStream(command=command):
            return command
        case CommandStream(command=command):
            return "command again" if command == "place_order" else command
        case _:
            return "event"


def _content(entry: StreamEntry, *but: str) -> str:
    """The fields of an entry, without those that other columns show."""
    left_out = {*but, "timestamp", "client_request_id"}
    return summary({name: value for name, value in entry.fields.items() if name not in left_out})
