"""What must be true of every world once it is quiet: the promise, spelled out."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.commands.parse import UnreadableError, parse
from tests.simulation.plan import Plan
from tests.simulation.venue import CLOCK_ERROR_MS, LONGEST_IN_ENGINE, VALIDITY_MS, FaultyVenue
from tests.simulation.view import View

LOCAL_REFUSALS = {
    "unknown_symbol",
    "halted",
    "halt_unreadable",
    "expired",
    "clock",
    "rate_limited",
    "account_unavailable",
    "key_refused",
    "book_out_of_sync",
    "max_position",
}
# So often a venue must deny an order.
MISSES = 3
BY_OTHER_ENTRIES = {"duplicate_id", "invalid_command"}


@dataclass(frozen=True)
class Findings:
    """What is left when a world is quiet. `faults`: processes that ended by themselves."""

    plan: Plan
    view: View
    venue: FaultyVenue
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """One readable entry: which order it asks for."""

    entry_id: str
    client_order_id: str
    command: PlaceOrderCommand


def find_violations(findings: Findings) -> list[str]:
    """Every broken promise, as `KIND: what`."""
    view = findings.view
    asked, unreadable = _read(view.entries())
    answers: dict[str, list[OrderResponseEvent]] = {}
    for data in view.responses:
        answer = OrderResponseEvent.model_validate_json(data)
        answers.setdefault(answer.command_id or "", []).append(answer)
    return [
        *(f"CRASH: {fault}" for fault in findings.faults),
        *_orders(findings, asked),
        *_posts(findings),
        *_unfinished(view),
        *_answered_once(asked, answers),
        *_dead_letters(unreadable, view, answers),
        *(v for entry in asked for v in _truthful(findings, entry, answers)),
        *_duplicates(findings, asked, answers),
    ]


def count_answers(view: View) -> Counter[str]:
    """How many answers of which kind were given; replays and ghosts by these names."""
    answers = [OrderResponseEvent.model_validate_json(data) for data in view.responses]
    kinds = ("replay" if a.replay else a.reason_code or a.status for a in answers)
    given_up = {a.client_order_id for a in answers if a.reason_code == "not_found"}
    found = [record for i in given_up if (record := view.record(i)) and not record.provisional]
    return Counter(kinds) + Counter(ghost=len(found))


def _read(entries: dict[str, bytes]) -> tuple[list[_Asked], list[str]]:
    asked, unreadable = [], []
    for entry_id, data in entries.items():
        try:
            command = parse(PlaceOrderCommand, data, {"client_order_id": f"x{entry_id}"})
        except UnreadableError:
            unreadable.append(entry_id)
        else:
            asked.append(_Asked(entry_id, command.client_order_id, command))
    return asked, unreadable


def _orders(findings: Findings, asked: list[_Asked]) -> Iterator[str]:
    """At most one order for a client order id, and none that nobody asked for."""
    ours = [order for order in findings.venue.orders if not order.external]
    for client_order_id, count in _count(order.client_order_id for order in ours):
        if count > 1:
            yield f"DOUBLE: {count} orders for {client_order_id}"
    sent = {_client_order_id(send.data) for send in findings.plan.sends}
    wanted = {"old-1", "old-2"} | sent | {entry.client_order_id for entry in asked}
    for order in ours:
        gone = findings.plan.forgets or findings.plan.trims
        derived = order.client_order_id.startswith("x") and gone
        if order.client_order_id not in wanted and not derived:
            yield f"STRAY: nobody asked for {order.client_order_id}"


def _posts(findings: Findings) -> Iterator[str]:
    """At most one POST for an entry; for an id, too, unless Redis forgot the first."""
    for entry_id, count in _count(post.entry_id for post in findings.venue.posts):
        if count > 1:
            yield f"POSTS: {count} for entry {entry_id}"
    if not findings.plan.forgets:
        for client_order_id, count in _count(p.client_order_id for p in findings.venue.posts):
            if count > 1:
                yield f"POSTS: {count} for {client_order_id}"


def _unfinished(view: View) -> Iterator[str]:
    for entry_id, consumer in view.pending().items():
        yield f"PENDING: {entry_id} lies with {consumer}"
    for entry_id in view.undelivered():
        yield f"PENDING: {entry_id} was never read"
    for client_order_id in view.unanswered():
        yield f"PENDING: the record of {client_order_id} is open"


def _answered_once(
    asked: list[_Asked], answers: dict[str, list[OrderResponseEvent]]
) -> Iterator[str]:
    """One final answer for each entry that Redis still has; no second one for any."""
    for entry in asked:
        if not any(answer.status != "unknown" for answer in answers.get(entry.entry_id, [])):
            yield f"SILENT: no final answer to {entry.entry_id}"
    for entry_id, given in answers.items():
        statuses = [answer.status for answer in given]
        if statuses not in (["accepted"], ["rejected"], ["unknown"]) and (
            statuses not in (["unknown", "accepted"], ["unknown", "rejected"])
        ):
            yield f"STATUSES: {entry_id} was answered {', '.join(statuses)}"


def _dead_letters(
    unreadable: list[str], view: View, answers: dict[str, list[OrderResponseEvent]]
) -> Iterator[str]:
    letters = Counter(json.loads(letter)["entry_id"] for letter in view.dead_letters())
    entries = view.entries()
    for entry_id in unreadable:
        if letters[entry_id] != 1:
            yield f"LETTERS: {letters[entry_id]} for {entry_id}"
        id_is_sure = _client_order_id(entries[entry_id]) is not None
        if len(answers.get(entry_id, [])) != id_is_sure:
            yield f"LETTERS: {entry_id} was answered {len(answers.get(entry_id, []))} times"


def _truthful(
    findings: Findings, entry: _Asked, answers: dict[str, list[OrderResponseEvent]]
) -> Iterator[str]:
    """The final answer is what the ledger says, or was corrected; a refusal has its evidence."""
    venue = findings.venue
    final = [a for a in answers.get(entry.entry_id, []) if a.status != "unknown"]
    for answer in final:
        orders = [o for o in venue.known(entry.client_order_id) if o.command == entry.command]
        if answer.client_order_id != entry.client_order_id:
            yield f"LIE: {entry.entry_id} was answered as {answer.client_order_id}"
        elif answer.status == "accepted":
            if not any(order.order_id == answer.order_id for order in orders):
                yield f"LIE: {entry.entry_id} accepted, and there is no {answer.order_id}"
        elif answer.reason_code not in BY_OTHER_ENTRIES:
            at = answer.timestamp.timestamp() * 1000 + CLOCK_ERROR_MS
            there = [o for o in orders if not venue.deleted(o, at)]
            if there and not _corrected(findings.view, entry, there[0].order_id):
                yield f"LIE: {entry.entry_id} {answer.reason_code}, and there is an order"
            if not answer.replay and not _evidence(venue, entry, answer):
                yield f"EVIDENCE: {entry.entry_id} rejected: {answer.reason_code}"


def _corrected(view: View, entry: _Asked, order_id: str) -> bool:
    record = view.record(entry.client_order_id)
    if record is None or record.provisional or record.answer is None:
        return False
    stored = OrderResponseEvent.model_validate_json(record.answer)
    corrected = stored.status == "accepted" and stored.order_id == order_id
    return corrected and view.followed(order_id)


def _looked_for(venue: FaultyVenue, entry: _Asked, answer: OrderResponseEvent) -> bool:
    """Whether the venue denied the order in every way, when it could no longer come about."""
    # The answer's time is cut to whole milliseconds.
    given_up_at = answer.timestamp.timestamp() * 1000 + CLOCK_ERROR_MS + 1
    sent = [post.timestamp for post in venue.posts if post.entry_id == entry.entry_id]
    too_late = max(sent, default=0) + VALIDITY_MS + LONGEST_IN_ENGINE * 1000
    found = venue.misses[entry.client_order_id]
    ways = Counter(look.way for look in found if too_late <= look.at <= given_up_at)
    return ways["find"] >= MISSES and ways["search"] > 0


def _evidence(venue: FaultyVenue, entry: _Asked, answer: OrderResponseEvent) -> bool:
    """Whether a refusal was the venue's, or ours before anything was sent, or is watched."""
    if answer.reason_code == "not_found":
        return answer.provisional is True and _looked_for(venue, entry, answer)
    if venue.refused.get(entry.entry_id) == answer.reason_code:
        return True
    sent = any(post.entry_id == entry.entry_id for post in venue.posts)
    return answer.reason_code in LOCAL_REFUSALS and not sent


def _duplicates(
    findings: Findings, asked: list[_Asked], answers: dict[str, list[OrderResponseEvent]]
) -> Iterator[str]:
    """Of several entries with one id, one is the order: others are its replay, or refused."""
    if findings.plan.forgets:
        return
    for client_order_id, count in _count(entry.client_order_id for entry in asked):
        if count == 1:
            continue
        same_id = [entry for entry in asked if entry.client_order_id == client_order_id]
        owner = findings.view.record(client_order_id)
        if owner is None:  # its time is over
            continue
        for entry in same_id:
            for answer in answers.get(entry.entry_id, []):
                if answer.status == "unknown":
                    continue
                right = (
                    not answer.replay
                    if entry.entry_id == owner.entry_id
                    else answer.replay
                    if entry.command == owner.order
                    else answer.reason_code == "duplicate_id"
                )
                if not right:
                    yield f"DUPLICATE: {entry.entry_id} of {client_order_id}: {answer.status}"


def _client_order_id(data: bytes) -> str | None:
    """The id that a bot wrote, where it can be told."""
    try:
        pairs = json.loads(data, object_pairs_hook=list)
    except ValueError:
        return None
    ids = [pair[1] for pair in pairs if isinstance(pair, tuple) and pair[0] == "client_order_id"]
    return ids[0] if len(ids) == 1 and isinstance(ids[0], str) else None


def _count(names: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(names).items())
