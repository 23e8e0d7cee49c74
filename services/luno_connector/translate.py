"""Luno's JSON in, our words out. Pure.

Payloads: https://www.luno.com/en/developers/api. Prices and volumes are strings there, times are
epoch milliseconds, sequence numbers of messages are strings and those of trades are numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from common_models.fields import Side
from services._connector_kit.instruments import Instrument, MarketStatus, Range, TradingRules
from services._connector_kit.market_data.order_book import (
    LevelBook,
    MakerFill,
    OrderByOrderBook,
    RestingOrder,
)
from services._connector_kit.market_data.trade_feed import VenueTrade

T = TypeVar("T")

KEEP_ALIVE = b'""'

# /markets spells it one way, the stream and the ticker another. Whatever else it is, it isn't open.
_MARKET: Mapping[str, MarketStatus] = {
    "ACTIVE": "trading",
    "POST_ONLY": "post_only",
    "POSTONLY": "post_only",
}


def market_status(word: str) -> MarketStatus:
    """Which orders are taken, by Luno's word for it."""
    return _MARKET.get(word, "halted")


class LunoOrder(msgspec.Struct, gc=False):
    """An order of a snapshot."""

    id: str
    price: Decimal
    volume: Decimal


class TradeUpdate(msgspec.Struct, gc=False):
    """A trade: `base` off the maker, for `counter` in the other currency (a value, no price)."""

    sequence: int
    base: Decimal
    counter: Decimal
    maker_order_id: str


class CreateUpdate(msgspec.Struct, gc=False):
    """A new resting order."""

    order_id: str
    type: Literal["BID", "ASK"]
    price: Decimal
    volume: Decimal


class DeleteUpdate(msgspec.Struct, gc=False):
    """An order that is gone without a trade."""

    order_id: str


class StatusUpdate(msgspec.Struct, gc=False):
    """The market's status: ACTIVE, POSTONLY or DISABLED."""

    status: str


class Frame(msgspec.Struct, gc=False):
    """Any frame of a market stream: a snapshot has `asks` and `bids`, an error `error_code`."""

    sequence: int | None = None
    timestamp: int = 0
    asks: list[LunoOrder] | None = None
    bids: list[LunoOrder] | None = None
    status: str | None = None
    trade_updates: list[TradeUpdate] | None = None
    create_update: CreateUpdate | None = None
    delete_update: DeleteUpdate | None = None
    status_update: StatusUpdate | None = None
    error_code: str | None = None
    error: str | None = None


frame = msgspec.json.Decoder(Frame, strict=False).decode


def _side(order_type: str) -> Side:
    return "buy" if order_type == "BID" else "sell"


def book(snapshot: Frame) -> OrderByOrderBook:
    """The book of a snapshot.

    Raises:
        ValueError: it holds no orders' lists, or an invalid order.
    """
    if snapshot.sequence is None or snapshot.asks is None or snapshot.bids is None:
        raise ValueError("a snapshot has sequence, asks and bids")
    sides: tuple[tuple[Side, list[LunoOrder]], ...] = (
        ("buy", snapshot.bids),
        ("sell", snapshot.asks),
    )
    orders = (
        RestingOrder(order.id, side, order.price, order.volume)
        for side, orders in sides
        for order in orders
    )
    return OrderByOrderBook(snapshot.sequence, orders)


def fills(update: Frame) -> list[MakerFill]:
    """What an update's trades took off which makers."""
    return [MakerFill(t.maker_order_id, t.base) for t in update.trade_updates or ()]


def created(update: Frame) -> RestingOrder | None:
    """The order that an update created."""
    new = update.create_update
    if new is None:
        return None
    return RestingOrder(new.order_id, _side(new.type), new.price, new.volume)


def deleted(update: Frame) -> str | None:
    """The id of the order that an update deleted."""
    return None if update.delete_update is None else update.delete_update.order_id


def rows_of(value: Any) -> Sequence[Mapping[str, Any]]:
    """*value*, which is a list; Luno's null is an empty one.

    Raises:
        TypeError: it is neither.
    """
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{value!r:.50} isn't a list")
    return value or ()


class TickerRow(NamedTuple):
    """One pair of `GET /api/1/tickers`; a side that is empty has the price 0."""

    pair: str
    milliseconds: int
    bid: float
    ask: float
    last: float
    volume: float
    market: MarketStatus | None = None


def tickers(answer: Mapping[str, Any]) -> list[TickerRow]:
    """`GET /api/1/tickers`.

    Raises:
        ValueError: the answer is not of that form.
    """

    def rows() -> Iterator[TickerRow]:
        for row in rows_of(answer["tickers"]):
            yield TickerRow(
                str(row["pair"]),
                int(row["timestamp"]),
                float(row["bid"]),
                float(row["ask"]),
                float(row["last_trade"]),
                float(row["rolling_24_hour_volume"]),
                market_status(str(row["status"])) if "status" in row else None,
            )

    return _read("tickers", lambda: list(rows()))


def trades(answer: Mapping[str, Any]) -> list[VenueTrade]:
    """`GET /api/1/trades`, turned round: oldest first.

    Raises:
        ValueError: the answer is not of that form.
    """

    def rows() -> Iterator[VenueTrade]:
        for row in rows_of(answer["trades"]):
            yield VenueTrade(
                int(row["sequence"]),
                int(row["timestamp"]),
                float(row["price"]),
                float(row["volume"]),
                "buy" if row["is_buy"] else "sell",
            )

    return _read("trades", lambda: sorted(rows()))


class TopOfBook(NamedTuple):
    """`GET /api/1/orderbook_top`: up to 100 price levels a side."""

    milliseconds: int
    book: LevelBook


def top_of_book(answer: Mapping[str, Any]) -> TopOfBook:
    """`GET /api/1/orderbook_top`.

    Raises:
        ValueError: the answer is not of that form.
    """

    def levels(side: str) -> list[tuple[float, float]]:
        return [(float(row["price"]), float(row["volume"])) for row in rows_of(answer[side])]

    def read() -> TopOfBook:
        milliseconds = int(answer["timestamp"])
        bids, asks = levels("bids"), levels("asks")
        return TopOfBook(milliseconds, LevelBook(milliseconds, bids, asks, limit=1000))

    return _read("order book", read)


def _read(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, ArithmeticError) as e:
        raise ValueError(f"{what}: {e!r}") from e


def _rules(row: Mapping[str, Any]) -> TradingRules:
    def range_of(name: str) -> Range:
        step = Decimal(1).scaleb(-int(row[f"{name}_scale"]))
        return Range(step, Decimal(row[f"min_{name}"]), Decimal(row[f"max_{name}"]))

    return TradingRules(price=range_of("price"), quantity=range_of("volume"))


def instruments(answer: Mapping[str, Any]) -> list[Instrument]:
    """`GET /api/exchange/1/markets`.

    Raises:
        ValueError: the answer is not of that form.
    """

    def rows() -> Iterator[Instrument]:
        for row in rows_of(answer["markets"]):
            base, quote = row["base_currency"], row["counter_currency"]
            yield Instrument(
                symbol=f"{base}/{quote}",
                venue_symbol=row["market_id"],
                base=base,
                quote=quote,
                trading=market_status(row["trading_status"]) != "halted",
                rules=_rules(row),
                post_only=market_status(row["trading_status"]) == "post_only",
            )

    return _read("markets", lambda: list(rows()))
