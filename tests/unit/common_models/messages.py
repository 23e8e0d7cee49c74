"""Every message of the contract in full, and the fewest fields that each needs."""

from typing import Any

from pydantic import BaseModel

from common_models import (
    AccountBalanceEvent,
    IndicatorValue,
    OrderBook,
    OrderBookLevel,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    PlaceOrderCommand,
    RequestBalanceCommand,
    Ticker,
    Trade,
)

TIME = "2024-05-01T12:30:00.123456Z"
TRADE = {
    "symbol": "BTC/USDT",
    "timestamp": TIME,
    "price": 60000.5,
    "quantity": 0.25,
    "side": "buy",
    "trade_id": "123",
    "exchange": "binance",
}

# Every message in full, with the contract's fields only: its examples, their ellipses filled in.
MESSAGES: dict[type[BaseModel], dict[str, Any]] = {
    Ticker: {
        "symbol": "BTC/USDT",
        "timestamp": TIME,
        "last_price": 60000.5,
        "bid_price": 60000.0,
        "ask_price": 60001.0,
        "volume_24h": 1234.5,
        "exchange": "binance",
    },
    OrderBookLevel: {"price": 60000.0, "quantity": 0.5},
    OrderBook: {
        "symbol": "XBT/ZAR",
        "timestamp": TIME,
        "bids": [{"price": 1100000.0, "quantity": 0.5}],
        "asks": [{"price": 1100001.0, "quantity": 0.25}],
        "exchange": "luno",
    },
    Trade: TRADE,
    PlaceOrderCommand: {
        "client_order_id": "my-order-1",
        "symbol": "BTC/USDT",
        "type": "limit",
        "side": "sell",
        "quantity": 0.001,
        "price": 65000.0,
    },
    RequestBalanceCommand: {
        "client_request_id": "my-request-1",
        "exchange": "binance",
        "assets": ["BTC", "USDT"],
    },
    OrderResponseEvent: {
        "client_order_id": "my-order-1",
        "order_id": "4711",
        "symbol": "BTC/USDT",
        "requested_quantity": 0.001,
        "requested_price": 65000.0,
        "side": "sell",
        "type": "limit",
        "status": "accepted",
        "timestamp": TIME,
        "error_message": None,
        "filled_quantity": 0.0,
    },
    OrderStatusUpdateEvent: {
        "order_id": "4711",
        "client_order_id": "my-order-1",
        "symbol": "BTC/USDT",
        "status": "partially_filled",
        "filled_quantity": 0.25,
        "remaining_quantity": 0.75,
        "average_price": 60000.5,
        "trades": [TRADE],
        "fee": {"BNB": 0.001},
        "timestamp": TIME,
        "exchange": "binance",
    },
    AccountBalanceEvent: {
        "exchange": "luno",
        "asset": "ZAR",
        "free": 100.0,
        "locked": 0.0,
        "total": 100.0,
        "timestamp": TIME,
    },
    IndicatorValue: {
        "timestamp": TIME,
        "value": -1.5,
        "indicator_name": "rsi_14",
        "symbol": "BTC/USDT",
        "exchange": "binance",
    },
}
# The fewest fields that each needs.
REQUIRED: dict[type[BaseModel], set[str]] = {
    Ticker: {"symbol", "timestamp", "last_price", "bid_price", "ask_price", "exchange"},
    OrderBookLevel: {"price", "quantity"},
    OrderBook: {"symbol", "timestamp", "bids", "asks", "exchange"},
    Trade: {"symbol", "timestamp", "price", "quantity", "side", "exchange"},
    PlaceOrderCommand: {"symbol", "type", "side", "quantity", "price"},  # price: it is a limit
    RequestBalanceCommand: {"exchange"},
    OrderResponseEvent: {
        "client_order_id",
        "symbol",
        "requested_quantity",
        "side",
        "type",
        "status",
    },
    OrderStatusUpdateEvent: {
        "order_id",
        "symbol",
        "status",
        "filled_quantity",
        "remaining_quantity",
        "exchange",
    },
    AccountBalanceEvent: {"exchange", "asset", "free", "locked", "total"},
    IndicatorValue: {"value", "indicator_name", "symbol", "exchange"},
}
