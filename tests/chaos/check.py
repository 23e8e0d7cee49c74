"""What must be true after a run: the streams against the simulator's ledger."""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from common_models import OrderResponseEvent, OrderStatusUpdateEvent
from services._connector_kit.orders.account.order_status import TERMINAL
from tests.chaos.evidence import PLACE, Evidence

# Which told status fits which state of the ledger's order.
FITS = {
    "open": {"open", "partially_filled"},
    "filled": {"filled"},
    "canceled": {"canceled"},
    "expired": {"expired", "canceled"},
    "refused": {"rejected", "expired", "canceled"},
}
# Refusals that say nothing about the order of that id.
OF_OTHERS = {"duplicate_id", "invalid_command"}


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise, as `KIND: what`. GHOST: given up, and there after all."""
    return [
        *_orders(evidence),
        *_unfinished(evidence),
        *_answers(evidence),
        *_truth(evidence),
        *_requests(evidence),
        *_legal_statuses(evidence),
        *_told_orders(evidence),
        *_balances(evidence),
        *_usefulness(evidence),
    ]


def final_answers(evidence: Evidence) -> Counter[str]:
    """How many final answers of which kind."""
    finals = [a for a in evidence.responses if a.status != "unknown"]
    return Counter("replay" if a.replay else a.reason_code or a.status for a in finals)


def _orders(evidence: Evidence) -> Iterator[str]:
    """At most one order and one POST for an id."""
    for client_order_id, count in Counter(
        order["client_order_id"] for order in evidence.ledger["orders"]
    ).items():
        if count > 1:
            yield f"DOUBLE: {count} orders for {client_order_id}"
    if evidence.plan.fate != "emptied":
        for client_order_id, count in evidence.ledger["arrivals"].items():
            if count > 1:
                yield f"POSTS: {count} for {client_order_id}"


def _unfinished(evidence: Evidence) -> Iterator[str]:
    for command, count in evidence.unfinished.items():
        if count:
            yield f"PENDING: {count} of {command}"


def _answers(evidence: Evidence) -> Iterator[str]:
    """Each entry one final answer, and at most one `unknown`, before it."""
    given: dict[str, list[str]] = {}
    for answer in evidence.responses:
        given.setdefault(answer.command_id or "", []).append(answer.status)
    for entry_id in evidence.commands[PLACE]:
        if not set(given.get(entry_id, [])) & {"accepted", "rejected"}:
            yield f"SILENT: no final answer to {entry_id}"
    for entry_id, statuses in given.items():
        final = [status for status in statuses if status != "unknown"]
        if len(final) > 1 or statuses not in (final, ["unknown", *final]):
            yield f"ANSWERS: {entry_id} was answered {', '.join(statuses)}"
    unreadable = [i for i, data in evidence.commands[PLACE].items() if b"typo" in data]
    letters = [letter["entry_id"] for letter in evidence.letters]
    if any(letters.count(entry_id) != 1 for entry_id in unreadable):
        yield f"LETTERS: {letters} for {unreadable}"


def _truth(evidence: Evidence) -> Iterator[str]:
    """What the final answers say is what the ledger has."""
    for answer in evidence.responses:
        orders = evidence.orders(answer.client_order_id)
        if answer.status == "accepted":
            if answer.order_id not in [order["order_id"] for order in orders]:
                yield f"LIE: {_name(answer)} accepted, and there is no order {answer.order_id}"
        elif answer.status == "rejected" and answer.reason_code not in OF_OTHERS and orders:
            if not answer.provisional and not answer.replay:
                yield f"LIE: {_name(answer)} {answer.reason_code}, and there is an order"
            elif not _is_corrected(evidence, answer, orders[0]["order_id"]):
                yield f"GHOST: {_name(answer)} {answer.reason_code}, and there is an order"


def _is_corrected(evidence: Evidence, answer: OrderResponseEvent, order_id: str) -> bool:
    record = evidence.records.get(answer.client_order_id)
    if record is None or record.provisional or record.answer is None:
        return False
    stored = OrderResponseEvent.model_validate_json(record.answer)
    told = order_id in [status.order_id for status in evidence.statuses]
    return stored.status == "accepted" and stored.order_id == order_id and told


def _requests(evidence: Evidence) -> Iterator[str]:
    """Each other command one reply, and a cancelled order is no longer open."""
    replies = Counter(reply.client_request_id for reply in evidence.replies)
    for command, entries in evidence.commands.items():
        for data in entries.values() if command != PLACE else ():
            asked = json.loads(data)
            request_id = asked["client_request_id"]
            if replies[request_id] != 1:
                yield f"REPLIES: {replies[request_id]} to {command} {request_id}"
            if command == "cancel_order" and any(
                reply.client_request_id == request_id and reply.status == "done"
                for reply in evidence.replies
            ):
                for order in evidence.orders(asked["client_order_id"]):
                    if order["state"] == "open":
                        yield f"LIE: cancel {request_id} done, and the order is open"


def _by_order(evidence: Evidence) -> dict[str, list[OrderStatusUpdateEvent]]:
    told: dict[str, list[OrderStatusUpdateEvent]] = {}
    for status in evidence.statuses:
        told.setdefault(status.order_id, []).append(status)
    return told


def _legal_statuses(evidence: Evidence) -> Iterator[str]:
    """What is filled never falls, nothing follows a terminal status, nothing is invented."""
    for order_id, told in _by_order(evidence).items():
        filled = [status.filled_quantity for status in told]
        if filled != sorted(filled):
            yield f"STATUS: order {order_id} was filled {filled}"
        if any(status.status in TERMINAL for status in told[:-1]):
            yield f"STATUS: order {order_id} went {[status.status for status in told]}"
        if order_id not in [order["order_id"] for order in evidence.ledger["orders"]]:
            yield f"LIE: told of order {order_id}, which never was"


def _told_orders(evidence: Evidence) -> Iterator[str]:
    """Every order's last status, and each of its fills once, with its fee."""
    told = _by_order(evidence)
    for order in evidence.ledger["orders"]:
        name = f"{order['client_order_id']} ({order['order_id']})"
        statuses = told.get(order["order_id"], [])
        if not statuses:
            if evidence.plan.fate != "emptied" or order["state"] == "open":
                yield f"UNTOLD: {name} is {order['state']}"
            continue
        last = statuses[-1]
        if last.status not in FITS[order["state"]]:
            yield f"UNTOLD: {name} is {order['state']}, last told {last.status}"
        if not _same(last.filled_quantity, order["filled_quantity"]):
            yield f"UNTOLD: {name}: {last.filled_quantity} of {order['filled_quantity']} filled"
        if last.client_order_id != order["client_order_id"]:
            yield f"LIE: {name} was told as {last.client_order_id}"
        yield from _fills(evidence, order, statuses, name)


def _fills(
    evidence: Evidence, order: dict[str, Any], statuses: list[OrderStatusUpdateEvent], name: str
) -> Iterator[str]:
    trades = [trade for status in statuses for trade in status.trades or ()]
    ids = Counter(trade.trade_id for trade in trades)
    if ids != Counter(fill["trade_id"] for fill in order["fills"]):
        yield f"FILLS: {name} has {[f['trade_id'] for f in order['fills']]}, told {ids}"
    filled = sum((Decimal(str(trade.quantity)) for trade in trades), Decimal(0))
    if not _same(filled, order["filled_quantity"]):
        yield f"FILLS: {name} has {order['filled_quantity']}, told {filled}"
    fees = {asset: Decimal(paid) for asset, paid in order["fees"].items() if Decimal(paid)}
    told_fees = {asset: Decimal(str(paid)) for asset, paid in (statuses[-1].fee or {}).items()}
    if told_fees != fees:
        yield f"FEES: {name} paid {order['fees']}, told {statuses[-1].fee}"


def _balances(evidence: Evidence) -> Iterator[str]:
    last = {event.asset: event for event in evidence.balances}
    for asset, owned in evidence.ledger["balances"].items():
        event = last.get(asset)
        free, locked = (event.free, event.locked) if event else (0.0, 0.0)
        if not (_same(free, owned["free"]) and _same(locked, owned["locked"])):
            yield f"BALANCE: {asset} is {owned}, told {free} free, {locked} locked"


def _usefulness(evidence: Evidence) -> Iterator[str]:
    """Where nothing goes wrong nothing is refused: a connector that does nothing must not pass."""
    if not evidence.plan.calm:
        return
    found = final_answers(evidence)
    want = Counter(accepted=3, replay=1, duplicate_id=1, expired=1, invalid_command=1)
    if found != want:
        yield f"REFUSED: {dict(found)}; want {dict(want)}"


def _same(told: float | Decimal, real: str) -> bool:
    return abs(Decimal(str(told)) - Decimal(real)) < Decimal("1e-9")


def _name(answer: OrderResponseEvent) -> str:
    return f"{answer.client_order_id} ({answer.command_id})"
