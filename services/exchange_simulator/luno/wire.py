"""Luno's wire format: ids, frames and errors."""

from base64 import b32encode
from typing import Any

from services.exchange_simulator.instruments import INSTRUMENTS, SimulatedInstrument, trimmed
from services.exchange_simulator.market import MarketStep
from services.exchange_simulator.matching import BookOrder, Match, Removed, Rested

# An odd factor makes n -> n * factor (mod 2^65) a bijection: ids don't repeat, and consecutive
# ids look unrelated. 65 bits are 13 characters of base 32.
_SCATTER = 0x1_C6BC_2796_92B5_C9A3
_BITS = 2**65 - 1
_LANES = {
    instrument.symbol: number
    for number, instrument in enumerate(i for i in INSTRUMENTS if i.venue == "luno")
}
_ALPHABET = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
)


class LunoError(Exception):
    """`{"error": .., "error_code": ..}`; without both keys clients would see a success."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, str]:
        """The JSON body."""
        return {"error": self.message, "error_code": self.code}


def lane(instrument: SimulatedInstrument) -> int:
    """The pair's number, 0 to 3: it makes ids unique across pairs whose engines count alike."""
    return _LANES[instrument.symbol]


def order_id(number: int, pair: int = 0) -> str:
    """An order's public id: "BX" and 13 characters; *pair* is the pair's lane, 0 to 3."""
    scattered = ((number << 2 | pair) * _SCATTER) & _BITS
    return "BX" + b32encode(scattered.to_bytes(10, "big"))[3:].translate(_ALPHABET).decode()


def snapshot_order(order: BookOrder, instrument: SimulatedInstrument) -> dict[str, str]:
    """An order in a stream's snapshot."""
    return {
        "id": order_id(order.order_id, lane(instrument)),
        "price": trimmed(order.terms.price or 0, instrument.price_scale),
        "volume": trimmed(order.remaining, instrument.quantity_scale),
    }


def update(step: MarketStep, sequence: int, instrument: SimulatedInstrument) -> dict[str, Any]:
    """A stream's update, always with six keys; empty if the step left the book unchanged.

    A filled maker has no delete update. The remaining quantity of a taker is a create update in
    the message with its trades.
    """
    trades: list[dict[str, Any]] = []
    create: dict[str, str] | None = None
    delete: dict[str, str] | None = None
    pair_lane = lane(instrument)
    for event in step.events:
        if isinstance(event, Match):
            maker = order_id(event.maker.order_id, pair_lane)
            trades.append(
                {
                    "sequence": event.trade_id,
                    "base": trimmed(event.quantity, instrument.quantity_scale),
                    "counter": trimmed(event.price * event.quantity, instrument.money_scale),
                    "maker_order_id": maker,
                    "taker_order_id": order_id(event.taker.order_id, pair_lane),
                    "order_id": maker,
                }
            )
        elif isinstance(event, Rested):
            create = {
                "order_id": order_id(event.order.order_id, pair_lane),
                "type": "BID" if event.order.terms.side == "buy" else "ASK",
                "price": trimmed(event.order.terms.price or 0, instrument.price_scale),
                "volume": trimmed(event.quantity, instrument.quantity_scale),
            }
        elif isinstance(event, Removed):
            delete = {"order_id": order_id(event.order.order_id, pair_lane)}
    return {
        "sequence": str(sequence),
        "trade_updates": trades,
        "create_update": create,
        "delete_update": delete,
        "status_update": None,
        "timestamp": step.time_ms,
    }
