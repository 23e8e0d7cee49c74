"""Builds the answers to `place_order`. Pure; `at` is in venue milliseconds."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

from common_models import OrderResponseEvent, PlaceOrderCommand
from services._connector_kit.orders.execution.record import Record
from services._connector_kit.orders.ports import CommandEntry, Rejection, VenueOrder

# An answer echoes at most so many bytes of each text in the command.
MAX_ECHOED = 255


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def accepted(record: Record, order: VenueOrder, at: int) -> OrderResponseEvent:
    """The answer to an order that the venue accepted."""
    return _answer(record.order, record.entry_id, "accepted", at, record).model_copy(
        update={"order_id": order.order_id, "filled_quantity": float(order.filled_quantity)}
    )


def outcome_unknown(
    record: Record, message: str, at: int, reason_code: str = "outcome_unknown"
) -> OrderResponseEvent:
    """The answer to an order whose outcome is not known; a final answer follows."""
    return _answer(record.order, record.entry_id, "unknown", at, record).model_copy(
        update={"reason_code": reason_code, "error_message": message}
    )


def rejected(
    command: PlaceOrderCommand,
    entry: CommandEntry,
    refusal: Rejection,
    at: int,
    record: Record | None = None,
    *,
    provisional: bool = False,
) -> OrderResponseEvent:
    """The answer if there is no order; *provisional* if the venue did not confirm that."""
    return _answer(command, entry.entry_id, "rejected", at, record).model_copy(
        update={
            "reason_code": refusal.reason_code,
            "error_message": refusal.message,
            "provisional": provisional,
        }
    )


def replayed(record: Record, entry: CommandEntry) -> OrderResponseEvent:
    """The stored answer of the same order, for another entry that requests it again."""
    stored = OrderResponseEvent.model_validate_json(record.answer or "")
    return stored.model_copy(update={"command_id": entry.entry_id, "replay": True})


def unreadable(fields: Mapping[str, object], entry: CommandEntry, message: str, at: int) -> bytes:
    """The answer to an unreadable command, as JSON; it echoes the valid ones of *fields*."""

    def text(name: str) -> str:
        value = fields.get(name)
        return _echo(value) if isinstance(value, str) else ""

    def number(name: str) -> float:
        value = fields.get(name)
        return value if isinstance(value, float) and isfinite(value) else 0.0

    answer = OrderResponseEvent(
        client_order_id=text("client_order_id"),
        symbol=text("symbol"),
        requested_quantity=number("quantity"),
        requested_price=number("price") if "price" in fields else None,
        side=text("side"),
        type=text("type"),
        status="rejected",
        timestamp=_moment(at),
        reason_code="invalid_command",
        error_message=message,
        command_id=entry.entry_id,
    )
    return answer.model_dump_json().encode()


def _answer(
    command: PlaceOrderCommand, entry_id: str, status: str, at: int, record: Record | None
) -> OrderResponseEvent:
    return OrderResponseEvent(
        client_order_id=_echo(command.client_order_id),
        symbol=_echo(command.symbol),
        requested_quantity=command.quantity,
        requested_price=command.price,
        side=command.side,
        type=command.type,
        status=status,
        timestamp=_moment(at),
        command_id=entry_id,
        sent_quantity=_number(record.sent_quantity if record else None),
        sent_price=_number(record.sent_price if record else None),
    )


def _echo(text: str) -> str:
    """The first `MAX_ECHOED` bytes of *text*; a lone surrogate becomes a question mark.

    The limit keeps a large command from filling the response stream.
    """
    return text.encode(errors="replace")[:MAX_ECHOED].decode(errors="ignore")


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
