"""`exchangeInfo`: the rules of each symbol in Binance's format."""

from decimal import Decimal
from typing import Any

from services.exchange_simulator.instruments import SimulatedInstrument, fixed
from services.exchange_simulator.market import MarketStatus

WEIGHT_LIMIT = 6000
ORDERS_PER_10_SECONDS = 100
ORDERS_PER_DAY = 200_000

# The filters that are the same for every symbol.
PERCENT_UP, PERCENT_DOWN = 5, Decimal("0.2")
MIN_NOTIONAL, MAX_NOTIONAL = 5, 9_000_000
MAX_OPEN_ORDERS = 200

RATE_LIMITS: list[dict[str, Any]] = [
    {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": WEIGHT_LIMIT,
    },
    {
        "rateLimitType": "ORDERS",
        "interval": "SECOND",
        "intervalNum": 10,
        "limit": ORDERS_PER_10_SECONDS,
    },
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": ORDERS_PER_DAY},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
]


def filters(instrument: SimulatedInstrument) -> list[dict[str, Any]]:
    """The symbol's filters: developers.binance.com, "Filters"."""

    def price(ticks: int) -> str:
        return fixed(ticks, instrument.price_scale)

    def quantity(lots: int) -> str:
        return fixed(lots, instrument.quantity_scale)

    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": price(instrument.min_price),
            "maxPrice": price(instrument.max_price),
            "tickSize": price(1),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": quantity(instrument.min_quantity),
            "maxQty": quantity(instrument.max_quantity),
            "stepSize": quantity(1),
        },
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": quantity(0),
            "maxQty": quantity(instrument.max_market_quantity),
            "stepSize": quantity(0),
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": str(PERCENT_UP),
            "bidMultiplierDown": str(PERCENT_DOWN),
            "askMultiplierUp": str(PERCENT_UP),
            "askMultiplierDown": str(PERCENT_DOWN),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": fixed(MIN_NOTIONAL, 0),
            "applyMinToMarket": True,
            "maxNotional": fixed(MAX_NOTIONAL, 0),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_OPEN_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]


def symbol(instrument: SimulatedInstrument, status: MarketStatus = "active") -> dict[str, Any]:
    """One entry of `symbols`. Features that the simulator lacks are listed as not allowed."""
    return {
        "symbol": instrument.pair,
        "status": "TRADING" if status == "active" else "HALT",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
