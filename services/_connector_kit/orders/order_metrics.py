"""Prometheus metrics of commands and orders, and the duration of each hop of an order.

The queue, the journal, the ledger and the executor's callback report to it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
from prometheus_client import Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from common_models import OrderStatusUpdateEvent
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.keys import OrderRef
from services._connector_kit.orders.ports import (
    Claim,
    CommandEntry,
    PlaceOutcome,
    Rejection,
    VenueAcceptance,
)
from services._runtime.metrics import counters, gauges

# The hops of a sent order, in sequence.
HOPS = ("waited", "claimed", "venue", "answered")
# In seconds: from half a millisecond to the longest time that resolving an order takes.
BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
OUTCOMES = {
    "place_order": ("accepted", "rejected", "expired", "unreadable", "unknown", "replayed"),
    "cancel_order": ("done", "rejected", "unreadable", "unknown"),
    "cancel_all_orders": ("done", "rejected", "unreadable", "unknown"),
    "query_order": ("done", "rejected", "unreadable", "unknown"),
    "request_balance": ("done", "rejected", "unreadable", "unknown"),
}
# Changes to a command stream by another client: an entry with an id in the future, or deleted
# entries.
TAMPERED = ("future_id", "deleted")
# Reason codes that are counted as outcomes of their own.
_OWN_OUTCOME = {"expired": "expired", "invalid_command": "unreadable"}


class _Answer(msgspec.Struct):
    """The fields of an answer that are counted."""

    status: str = "none"
    reason_code: str | None = None
    replay: bool | None = None

    @property
    def outcome(self) -> str:
        """The outcome that the command is counted under."""
        if self.replay:
            return "replayed"
        return _OWN_OUTCOME.get(self.reason_code or "", self.status)


_read = msgspec.json.Decoder(_Answer).decode


class OrderMetrics:
    """Counts one connector's commands and orders. `milliseconds` returns the venue's time."""

    def __init__(
        self, milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self.commands: Counter[tuple[str, ...]] = Counter(
            {(command, outcome): 0 for command in OUTCOMES for outcome in OUTCOMES[command]}
        )
        self.refusals: Counter[str] = Counter()
        self.dead_letters = Counter(dict.fromkeys(OUTCOMES, 0))
        self.tampered: Counter[tuple[str, ...]] = Counter(
            {(command, how): 0 for command in OUTCOMES for how in TAMPERED}
        )
        self.late_orders = 0
        self.open: set[OrderRef] = set()
        self._symbols: set[str] = set()  # symbols of published orders
        self._milliseconds = milliseconds
        self._unknown: dict[str, int] = {}  # entry id: venue milliseconds of the claim
        self._venue_answered: dict[str, float] = {}  # entry id: monotonic seconds
        self._hops = Histogram(
            "order_hop_seconds",
            "How long each hop of an order took: its command waited in the stream, was claimed "
            "once read, went to the venue and back, and its answer got into Redis.",
            ["hop"],
            registry=None,
            buckets=BUCKETS,
        )
        self._hop = {hop: self._hops.labels(hop) for hop in HOPS}
        self._fills = Histogram(
            "fill_seconds",
            "From the venue's time of a fill to its order status in Redis.",
            registry=None,
            buckets=BUCKETS,
        )

    # --- called by the queue, the executor, the journal and the ledger

    def claimed(self, record: Record, claim: Claim, since_read: float) -> None:
        """Count a claim that was made *since_read* seconds after its command was read."""
        found = claim.found
        if found is None:
            entry_milliseconds = int(record.entry_id.partition("-")[0])
            waited = (claim.milliseconds - entry_milliseconds) / 1000
            self._hop["waited"].observe(max(0.0, waited))
            self._hop["claimed"].observe(since_read)
        elif found.state == "unknown" and found.entry_id == record.entry_id:
            self._unknown[found.entry_id] = _claimed_at(found)

    def venue_answered(self, record: Record, seconds: float) -> None:
        """Count the one POST, which took *seconds*, with or without an answer."""
        self._hop["venue"].observe(seconds)
        self._venue_answered[record.entry_id] = time.monotonic()

    def answered(self, entry: CommandEntry, answer: bytes | str) -> None:
        """Count the final answer that this connector published for a command."""
        answered_with = _read(answer)
        self.commands[entry.command, answered_with.outcome] += 1
        if (
            entry.command == "place_order"
            and answered_with.status == "rejected"
            and not answered_with.replay
        ):
            self.refusals[answered_with.reason_code or "none"] += 1

    def closed(self, entry_id: str) -> None:
        """Note that an order's final answer is in Redis, from this or another instance."""
        self._unknown.pop(entry_id, None)
        self._answer_readable(entry_id)

    def unknown_published(self, record: Record) -> None:
        """Count an `unknown` that was published for an order."""
        if record.entry_id not in self._unknown:
            self.commands["place_order", "unknown"] += 1
            self._unknown[record.entry_id] = _claimed_at(record)
        self._answer_readable(record.entry_id)

    def _answer_readable(self, entry_id: str) -> None:
        since = self._venue_answered.pop(entry_id, None)
        if since is not None:
            self._hop["answered"].observe(time.monotonic() - since)

    def status_published(self, event: OrderStatusUpdateEvent, *, closed: bool) -> None:
        """Count a published order status; *closed* if it is terminal."""
        self._symbols.add(event.symbol)
        order = OrderRef(event.symbol, event.order_id)
        if closed:
            self.open.discard(order)
        else:
            self.open.add(order)
        if event.trades:
            at = max(trade.timestamp for trade in event.trades).timestamp()
            self._fills.observe(max(0.0, self._milliseconds() / 1000 - at))

    # --- read by Prometheus

    def metrics(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield counters(
            "order_commands",
            "Commands by outcome; an order that was `unknown` counts again once it "
            "has its final answer.",
            ["command", "outcome"],
            self.commands,
        )
        yield counters(
            "order_refusals",
            "Orders answered `rejected`, by the answer's reason_code.",
            ["reason_code"],
            self.refusals,
        )
        yield counters(
            "dead_letters",
            "Commands that could not be read.",
            ["command"],
            self.dead_letters,
        )
        yield counters(
            "command_streams_tampered",
            "Changes to command streams by clients: `future_id` blocks a stream until repaired, "
            "`deleted` counts entries that were deleted, read or not.",
            ["command", "how"],
            self.tampered,
        )
        yield GaugeMetricFamily(
            "orders_unknown",
            "Orders with unknown outcome.",
            value=len(self._unknown),
        )
        oldest = min(self._unknown.values(), default=None)
        age = 0.0 if oldest is None else max(0.0, (self._milliseconds() - oldest) / 1000)
        yield GaugeMetricFamily(
            "order_unknown_oldest_seconds",
            "Age in seconds of the oldest order with unknown outcome; 0 if there is none.",
            value=age,
        )
        yield CounterMetricFamily(
            "ghost_orders",
            "Orders that were answered `not_found` and that the venue showed later.",
            value=self.late_orders,
        )
        yield gauges(
            "orders_open",
            "Open orders that were published.",
            ["symbol"],
            dict.fromkeys(self._symbols, 0) | Counter(order.symbol for order in self.open),
        )
        yield from self._hops.collect()
        yield from self._fills.collect()


def outcome_recorder(
    metrics: OrderMetrics, requests: dict[str, int], on_key_refused: Callable[[str], None]
) -> Callable[[Record, PlaceOutcome, float], None]:
    """Return a callback that records each POST's seconds in *metrics*, its outcome in *requests*.

    *on_key_refused* is called with the venue's message if it rejects the API key.
    """

    def record_outcome(record: Record, outcome: PlaceOutcome, seconds: float) -> None:
        metrics.venue_answered(record, seconds)
        requests[_outcome_name(outcome)] += 1
        if isinstance(outcome, Rejection) and outcome.about_key:
            on_key_refused(outcome.message)

    return record_outcome


def _outcome_name(outcome: PlaceOutcome) -> str:
    match outcome:
        case VenueAcceptance():
            return "ok"
        case Rejection(reason_code="rate_limited"):
            return "rate_limited"
        case Rejection(about_key=True):
            return "key_refused"
        case Rejection():
            return "rejected"
        case _:
            return "transient"


def _claimed_at(record: Record) -> int:
    """When a record was claimed, in venue milliseconds; if unknown, when Redis got its entry."""
    return record.timestamp or int(record.entry_id.partition("-")[0])
