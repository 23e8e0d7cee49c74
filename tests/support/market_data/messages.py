"""Market data messages as a connector would publish them."""

from datetime import UTC, datetime

from common_models import (
    ConnectorStatusEvent,
    OrderBook,
    OrderBookLevel,
    SymbolStatus,
    Ticker,
    Trade,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def ticker(symbol: str = "BTC/USDT", exchange: str = "binance", last: float = 100.5) -> Ticker:
    """A ticker with a bid just below and an ask just above *last*."""
    return Ticker(
        symbol=symbol,
        timestamp=WHEN,
        last_price=last,
        bid_price=last - 0.5,
        ask_price=last + 0.5,
        volume_24h=12.5,
        exchange=exchange,
    )


def order_book(
    symbol: str = "BTC/USDT", exchange: str = "binance", middle: float = 100.5
) -> OrderBook:
    """A book of one level a side around *middle*."""
    return OrderBook(
        symbol=symbol,
        timestamp=WHEN,
        bids=[OrderBookLevel(price=middle - 0.5, quantity=1.0)],
        asks=[OrderBookLevel(price=middle + 0.5, quantity=2.0)],
        exchange=exchange,
    )


def trade(
    symbol: str = "BTC/USDT", exchange: str = "binance", price: float = 100.5, number: int = 1
) -> Trade:
    """A buy of 0.25."""
    return Trade(
        symbol=symbol,
        timestamp=WHEN,
        price=price,
        quantity=0.25,
        side="buy",
        trade_id=str(number),
        exchange=exchange,
    )


def connector_status(
    symbol: str = "BTC/USDT",
    exchange: str = "binance",
    state: str = "live",
    reason: str | None = None,
) -> ConnectorStatusEvent:
    """The status of a connector with one symbol."""
    return ConnectorStatusEvent(
        exchange=exchange,
        world="simulator",
        trading=True,
        symbols=[SymbolStatus(symbol=symbol, state=state, since=WHEN, reason=reason)],
        timestamp=WHEN,
    )


def wire(message: Ticker | OrderBook | Trade | ConnectorStatusEvent) -> bytes:
    """The bytes of the field `data`."""
    return message.model_dump_json().encode()
