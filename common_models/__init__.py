"""The messages on the streams, and the names of the streams."""

from common_models.bot_models import (
    DecisionEvent,
    OpenOrder,
    PortfolioEvent,
    RunningStrategy,
    StrategyPosition,
)
from common_models.commands_events_models import (
    AccountBalanceEvent,
    CancelAllOrdersCommand,
    CancelAllProgress,
    CancelOrderCommand,
    CommandResponseEvent,
    ConnectorStatusEvent,
    OrderResponseEvent,
    OrderStatusUpdateEvent,
    PlaceOrderCommand,
    QueryOrderCommand,
    RequestBalanceCommand,
    RetryStatus,
    SymbolStatus,
)
from common_models.indicator_models import IndicatorProgress, IndicatorValue
from common_models.instrument_models import InstrumentInfo
from common_models.market_data_models import OrderBook, OrderBookLevel, Ticker, Trade

__all__ = [
    "AccountBalanceEvent",
    "CancelAllOrdersCommand",
    "CancelAllProgress",
    "CancelOrderCommand",
    "CommandResponseEvent",
    "ConnectorStatusEvent",
    "DecisionEvent",
    "IndicatorProgress",
    "IndicatorValue",
    "InstrumentInfo",
    "OpenOrder",
    "OrderBook",
    "OrderBookLevel",
    "OrderResponseEvent",
    "OrderStatusUpdateEvent",
    "PlaceOrderCommand",
    "PortfolioEvent",
    "QueryOrderCommand",
    "RequestBalanceCommand",
    "RetryStatus",
    "RunningStrategy",
    "StrategyPosition",
    "SymbolStatus",
    "Ticker",
    "Trade",
]
