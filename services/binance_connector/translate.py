"""Binance's JSON in, our words out. Pure.

Payloads: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/binance-spot-api-docs/rest-api. Prices and quantities are
strings there, times are epoch milliseconds.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from common_models.fields import Side
from services._connector_kit.instruments import Instrument, Range, TradingRules
from services._connector_kit.market_data.trade_feed import VenueTrade

Levels = list[tuple[float, float]]


class AggTrade(msgspec.Struct, tag_field="e", tag="aggTrade", gc=False):
    """`@aggTrade`: one taker order's fills at one price, the trades `f` to `l`.

    `m`: the buyer is the maker.
    """

    s: str
    a: int
    p: float
    q: float
    T: int
    m: bool
    f: int | None = None
    l: int | None = None  # noqa: E741 - Binance's name

    @property
    def side(self) -> Side:
        """The taker's side."""
        return "sell" if self.m else "buy"


class DepthUpdate(msgspec.Struct, tag_field="e", tag="depthUpdate", gc=False):
    """`@depth@100ms`: levels that changed from update `U` to update `u`."""

    E: int
    s: str
    U: int
    u: int
    b: Levels
    a: Levels


class DayTicker(msgspec.Struct, tag_field="e", tag="24hrTicker", gc=False):
    """`@ticker`: the last 24 hours, once a second."""

    E: int
    s: str
    c: float
    b: float
    a: float
    v: float


class ServerShutdown(msgspec.Struct, tag_field="e", tag="serverShutdown"):
    """The server will close this connection soon."""

    E: int


Event = AggTrade | DepthUpdate | DayTicker | ServerShutdown


class Combined(msgspec.Struct, gc=False):
    """A frame of a combined stream."""

    data: Event


_decode = msgspec.json.Decoder(Combined, strict=False).decode


def event(frame: bytes) -> Event:
    """The event of one combined-stream frame.

    Raises:
        ValueError: it isn't JSON, not a known event, or not of the event's form.
        RecursionError: it is nested absurdly deep.
    """
    return _decode(frame).data


class DepthSnapshot(NamedTuple):
    """A REST depth snapshot, best levels first."""

    update_id: int
    bids: Levels
    asks: Levels


def snapshot(answer: Mapping[str, Any]) -> DepthSnapshot:
    """`GET /api/v3/depth`.

    Raises:
        ValueError: the answer is not of that form.
    """
    try:
        return msgspec.convert(
            (answer["lastUpdateId"], answer["bids"], answer["asks"]), DepthSnapshot, strict=False
        )
    except (KeyError, TypeError, msgspec.ValidationError) as e:
        raise ValueError(f"depth snapshot: {e!r}") from e


def agg_trades(answer: Sequence[Mapping[str, Any]]) -> list[VenueTrade]:
    """`GET /api/v3/aggTrades`, oldest first.

    Raises:
        ValueError: the answer is not of that form.
    """
    try:
        return [
            VenueTrade(
                int(trade["a"]),
                int(trade["T"]),
                float(trade["p"]),
                float(trade["q"]),
                "sell" if trade["m"] else "buy",
                int(trade["f"]),
                int(trade["l"]),
            )
            for trade in _list(answer)  # the SDK makes {} of an empty body
        ]
    except (KeyError, TypeError, ValueError, ArithmeticError) as e:
        raise ValueError(f"aggregate trades: {e!r}") from e


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.50} isn't a list")
    return value


def _rules(filters: Sequence[Mapping[str, Any]]) -> TradingRules:
    """https://developers.binance.com/docs/binance-spot-api-docs/filters."""
    by_type = {row["filterType"]: row for row in filters}

    def range_of(filter_type: str, step: str, least: str, most: str) -> Range:
        row = by_type.get(filter_type, {})
        return Range(*(Decimal(row.get(name, "0")) for name in (step, least, most)))

    notional = by_type.get("NOTIONAL") or by_type.get("MIN_NOTIONAL") or {}
    of_market = notional.get("applyMinToMarket") or notional.get("applyToMarket")
    min_notional = Decimal(notional.get("minNotional", "0"))
    # PERCENT_PRICE has one pair of multipliers, PERCENT_PRICE_BY_SIDE one for each side.
    any_side = range_of("PERCENT_PRICE", "", "multiplierDown", "multiplierUp")
    by_side = "PERCENT_PRICE_BY_SIDE" in by_type

    def share(side: str) -> Range:
        names = (f"{side}MultiplierDown", f"{side}MultiplierUp")
        return range_of("PERCENT_PRICE_BY_SIDE", "", *names) if by_side else any_side

    return TradingRules(
        price=range_of("PRICE_FILTER", "tickSize", "minPrice", "maxPrice"),
        quantity=range_of("LOT_SIZE", "stepSize", "minQty", "maxQty"),
        market_quantity=range_of("MARKET_LOT_SIZE", "stepSize", "minQty", "maxQty"),
        min_notional=min_notional,
        max_notional=Decimal(notional.get("maxNotional", "0")),
        min_market_notional=min_notional if of_market else Decimal(0),
        bid_multiplier=share("bid"),
        ask_multiplier=share("ask"),
    )


def instruments(answer: Mapping[str, Any]) -> list[Instrument]:
    """`GET /api/v3/exchangeInfo`.

    Raises:
        ValueError: the answer is not of that form.
    """
    try:
        return [
            Instrument(
                symbol=f"{row['baseAsset']}/{row['quoteAsset']}",
                venue_symbol=row["symbol"],
                base=row["baseAsset"],
                quote=row["quoteAsset"],
                trading=row["status"] == "TRADING",
                rules=_rules(row.get("filters", ())),
            )
            for row in _list(answer["symbols"])
        ]
    except (KeyError, TypeError, ArithmeticError) as e:
        raise ValueError(f"exchange info: {e!r}") from e
