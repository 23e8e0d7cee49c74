"""What must be true of the account's events once a whole world is quiet."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from common_models import AccountBalanceEvent, CommandResponseEvent, OrderStatusUpdateEvent
from services._connector_kit.orders.account.order_status import TERMINAL
from services._runtime.position import Position
from tests.simulation.invariants import Findings
from tests.simulation.venue_order import Order
from tests.simulation.whole_world import Rest

Key = tuple[str, str, str | None]  # symbol, order id, client order id

# So long the account may be down, in seconds, before no order leaves any more; and what passes
# between the last look and the POST.
GRACE = 5.0
AFTER_THE_LOOK = 2.0
# Of the clocks of a bot, a Redis and a venue.
MOMENT_MS = 2000


def find_account_violations(findings: Findings, rest: Rest) -> list[str]:
    """Every broken promise, as `KIND: what`."""
    return [
        *_statuses(findings),
        *_positions(findings),
        *_most_held(findings),
        *_balances(findings, rest),
        *_requests(findings, rest),
        *_canceled_all(findings, rest),
        *_down(findings, rest),
    ]


def _statuses(findings: Findings) -> Iterator[str]:
    told: defaultdict[Key, list[OrderStatusUpdateEvent]] = defaultdict(list)
    for data in findings.view.events("order_status"):
        event = OrderStatusUpdateEvent.model_validate_json(data)
        told[event.symbol, event.order_id, event.client_order_id].append(event)
    orders = {_key(order): order for order in findings.venue.orders}
    for key, events in told.items():
        if key not in orders:
            yield f"STRANGER: a status of {key}, which the venue never had"
            continue
        yield from _legal(orders[key], events)
    living = findings.venue.living()
    for key, order in orders.items():
        followed = not order.external or (key in told and order in living)
        if followed and order in living and not findings.plan.forgets:
            yield from _complete(order, told[key])


def _key(order: Order) -> Key:
    return order.symbol, order.order_id, order.client_order_id


def _name(order: Order) -> str:
    return f"{order.symbol} {order.order_id} ({order.client_order_id})"


def _legal(order: Order, events: list[OrderStatusUpdateEvent]) -> Iterator[str]:
    """What was published never takes anything back, and each fill once."""
    seen: set[str] = set()
    fills = {fill.trade_id: fill for fill in order.fills}
    for before, event in zip([None, *events], events, strict=False):
        if before and event.filled_quantity < before.filled_quantity:
            yield f"FILLED: {_name(order)} fell to {event.filled_quantity}"
        if before and before.status in TERMINAL and event.status != before.status:
            yield f"TERMINAL: {_name(order)} was {before.status}, then {event.status}"
        for trade in event.trades or ():
            if trade.trade_id is None and order.client_order_id == "old-2":
                continue  # the former release told Luno's fills without an id
            known = fills.get(trade.trade_id or "")
            if trade.trade_id in seen:
                yield f"FILL: {trade.trade_id} of {_name(order)} twice"
            if known is None or float(known.quantity) != trade.quantity:
                yield f"FILL: {trade.trade_id} of {_name(order)} isn't one of its fills"
            seen.add(trade.trade_id or "")
    quantity = sum(trade.quantity for event in events for trade in event.trades or ())
    if quantity > float(order.filled) + 1e-9:
        yield f"FILL: {quantity} of {_name(order)}, which is filled {order.filled}"


def _complete(order: Order, events: list[OrderStatusUpdateEvent]) -> Iterator[str]:
    """In the end it is what the venue has."""
    if not events:
        yield f"UNTOLD: {_name(order)} is {order.status}, and nothing was published"
        return
    last = events[-1]
    left = float(order.quantity - order.filled)
    if (last.status, last.filled_quantity) != (order.status, float(order.filled)):
        said = f"{last.status} {last.filled_quantity}"
        yield f"UNTOLD: {_name(order)} is {order.status} {order.filled}, published is {said}"
    elif abs(last.remaining_quantity - left) > 1e-9:
        yield f"TERMS: of {_name(order)} {left} is left, published is {last.remaining_quantity}"
    if order.external:  # what was before the first look is history
        return
    quantity = sum(trade.quantity for event in events for trade in event.trades or ())
    if abs(quantity - float(order.filled)) > 1e-9:
        yield f"FILLS: {quantity} of {_name(order)} published, {order.filled} filled"


def _positions(findings: Findings) -> Iterator[str]:
    """What is held is what was published of our own orders, each fill and each fee once."""
    if findings.plan.forgets:
        return
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    before: dict[Key, tuple[float, float]] = {}
    sides = {_key(order): order.command.side for order in findings.venue.orders}
    for data in findings.view.events("order_status"):
        event = OrderStatusUpdateEvent.model_validate_json(data)
        key = (event.symbol, event.order_id, event.client_order_id)
        sign = 1 if sides.get(key) == "buy" else -1
        fee = sum(float(amount) for amount in (event.fee or {}).values())
        spent = event.filled_quantity * (event.average_price or 0.0)
        now = sign * event.filled_quantity, -sign * spent - fee
        first = before.get(key, (0.0, 0.0))
        former = key not in before and event.client_order_id == "old-2"
        if not event.external and not former:  # what the former release published isn't booked
            for i in (0, 1):
                sums[event.symbol][i] += now[i] - first[i]
        before[key] = now
    held = findings.view.positions()
    for symbol in sums.keys() | held.keys():
        kept = held.get(symbol, Position())
        quantity, cash = sums[symbol]
        if abs(float(kept.quantity) - quantity) > 1e-6:
            yield f"POSITION: {quantity} {symbol} published, {kept.quantity} kept"
        # The former release published no fee, and kept it.
        if ("old-2" not in {name for _, _, name in before}) and abs(float(kept.cash) - cash) > 1e-3:
            yield f"POSITION: {symbol} cost {cash} as published, {kept.cash} as kept"


def _most_held(findings: Findings) -> Iterator[str]:
    """No more is held than allowed; of what Redis knew, and wasn't given up before it appeared."""
    whole = findings.plan.whole
    most = whole.most_held if whole else None
    if whole is None or most is None or whole.old_release or whole.reset_at is not None:
        return
    ours = [order for order in findings.venue.orders if not order.external]
    if findings.plan.forgets or any(_given_up(findings, order) for order in ours):
        return
    fills = sorted(
        ((fill.milliseconds, order, fill.quantity) for order in ours for fill in order.fills),
        key=lambda each: each[0],
    )
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for _, order, quantity in fills:
        held[order.symbol] += quantity if order.command.side == "buy" else -quantity
        if abs(held[order.symbol]) > most:
            yield f"HELD: {held[order.symbol]} {order.symbol}, and {most} are allowed"


def _balances(findings: Findings, rest: Rest) -> Iterator[str]:
    """They never go back, and in the end are what the venue has."""
    told: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for data in findings.view.events("account_balance"):
        event = AccountBalanceEvent.model_validate_json(data)
        told[event.asset].append((event.free, event.locked))
    for asset, (free, locked) in rest.account.balances().items():
        history = [
            (float(state[asset][0]), float(state[asset][1])) for state in rest.account.history
        ]
        at = 0
        for said in told[asset]:
            while at < len(history) and history[at] != said:
                at += 1
            if at == len(history):
                back = "goes back to" if said in history else "never was"
                yield f"BALANCE: {asset} {back} {said}"
                break
        else:
            last = told[asset][-1] if told[asset] else None
            if last != (float(free), float(locked)):
                yield f"BALANCE: {asset} is {(float(free), float(locked))}, published is {last}"


def _requests(findings: Findings, rest: Rest) -> Iterator[str]:
    """One answer to each request."""
    if findings.plan.forgets:
        return
    answers: defaultdict[str, list[str]] = defaultdict(list)
    for data in findings.view.events("command_response"):
        answer = CommandResponseEvent.model_validate_json(data)
        answers[answer.client_request_id].append(answer.status)
    for name, command in rest.sent.items():
        if len(answers[name]) != 1:
            yield f"REQUEST: {command} {name} was answered {answers[name]}"


def _canceled_all(findings: Findings, rest: Rest) -> Iterator[str]:
    """What was claimed before a cancel_all that was done doesn't rest."""
    if findings.plan.forgets:
        return
    for data in findings.view.events("command_response"):
        answer = CommandResponseEvent.model_validate_json(data)
        if answer.client_request_id not in rest.canceled_all or answer.status != "done":
            continue
        _, sent_at, symbol = rest.canceled_all[answer.client_request_id]
        for post in findings.venue.posts:
            claimed_at = post.timestamp - findings.venue.milliseconds_at(0.0)
            for order in findings.venue.living():
                ours = order.client_order_id == post.client_order_id and order.open
                before = claimed_at < sent_at * 1000 - MOMENT_MS
                named = symbol in (None, order.symbol)
                if ours and before and named and not _given_up(findings, order):
                    yield f"RESTS: {_name(order)} after {answer.client_request_id} was done"


def _given_up(findings: Findings, order: Order) -> bool:
    """Whether it was answered as not found before it appeared: it is watched, no more."""
    return any(
        b'"not_found"' in data and order.client_order_id.encode() in data
        for data in findings.view.responses
    )


def _down(findings: Findings, rest: Rest) -> Iterator[str]:
    """While a process has no account stream, it sends no order."""
    for post in findings.venue.posts:
        spans = rest.account.connected.get(post.process, []) if post.process else []
        claimed = (
            post.sent_at - (findings.venue.milliseconds_at(post.sent_at) - post.timestamp) / 1000
        )
        begun = [begin for begin, _ in spans if begin <= post.sent_at]
        ended = max(
            (min(end, post.sent_at) for begin, end in spans if begin <= claimed), default=None
        )
        if not begun:
            yield f"DOWN: {post.client_order_id} left without an account stream"
            continue
        again = any(claimed <= begin <= post.sent_at for begin, _ in spans)
        if ended is not None and claimed - ended > GRACE + AFTER_THE_LOOK and not again:
            yield f"DOWN: {post.client_order_id} left {claimed - ended:.1f} s after the stream"
