"""Orders, trades and balances in Binance's format.

Payloads: developers.binance.com, "Trading endpoints" and "Account Endpoints".
"""

from typing import Any

from services.exchange_simulator.account import (
    DISCOUNTED_PERCENT,
    AccountBalance,
    FeeRates,
    SimulatedAccount,
)
from services.exchange_simulator.account_order import AMOUNT_SCALE, AccountFill, AccountOrder
from services.exchange_simulator.binance.wire import money, price, quantity
from services.exchange_simulator.instruments import SimulatedInstrument, fixed

TYPES = {"limit": "LIMIT", "market": "MARKET", "post_only": "LIMIT_MAKER"}
ENDED = {"filled": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED", "refused": "REJECTED"}
# The expiry reason of a market, IOC or FOK order that was not filled.
EXPIRY_REASON = "INSUFFICIENT_LIQUIDITY"
NO_AMOUNT = fixed(0, AMOUNT_SCALE)


def amount(value: int) -> str:
    """An amount (1e-8) as text."""
    return fixed(value, AMOUNT_SCALE)


def status(order: AccountOrder) -> str:
    """An order's `status`."""
    if order.state == "open":
        return "PARTIALLY_FILLED" if order.filled else "NEW"
    return ENDED[order.state]


def terms(order: AccountOrder) -> dict[str, Any]:
    """The fields common to all answers about an order."""
    instrument, asked = order.instrument, order.asked
    fields: dict[str, Any] = {
        "price": price(instrument, asked.price or 0),
        "origQty": quantity(instrument, asked.quantity),
        "executedQty": quantity(instrument, order.filled),
        "origQuoteOrderQty": amount(asked.quote_asked or 0),
        "cummulativeQuoteQty": money(instrument, order.spent),
        "status": status(order),
        "timeInForce": asked.time_in_force,
        "type": TYPES[asked.kind],
        "side": asked.side.upper(),
        "selfTradePreventionMode": "NONE",
    }
    if order.state == "expired":
        fields["expiryReason"] = EXPIRY_REASON
    return fields


def placed(order: AccountOrder, response_type: str) -> dict[str, Any]:
    """The answer to a new order: ACK, RESULT or FULL."""
    fields: dict[str, Any] = {
        "symbol": order.instrument.pair,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": order.updated_ms,
    }
    if response_type != "ACK":
        fields |= terms(order) | {"workingTime": order.created_ms}
    if response_type == "FULL":
        fields["fills"] = [
            {
                "price": price(order.instrument, fill.price),
                "qty": quantity(order.instrument, fill.quantity),
                "commission": amount(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in order.fills
        ]
    return fields


def canceled(order: AccountOrder) -> dict[str, Any]:
    """The answer to a cancel: `clientOrderId` is the cancel's, `origClientOrderId` the order's."""
    return {
        "symbol": order.instrument.pair,
        "origClientOrderId": order.called_before,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": order.updated_ms,
        **terms(order),
    }


def amended(order: AccountOrder, execution_id: int) -> dict[str, Any]:
    """The answer to an amendment."""
    return {
        "transactTime": order.updated_ms,
        "executionId": execution_id,
        "amendedOrder": {
            "symbol": order.instrument.pair,
            "orderId": order.order_id,
            "orderListId": -1,
            "origClientOrderId": order.called_before,
            "clientOrderId": order.client_id,
            "price": price(order.instrument, order.asked.price or 0),
            "qty": quantity(order.instrument, order.asked.quantity),
            "executedQty": quantity(order.instrument, order.filled),
            "preventedQty": NO_AMOUNT,
            "cumulativeQuoteQty": money(order.instrument, order.spent),
            "status": status(order),
            "timeInForce": order.asked.time_in_force,
            "type": TYPES[order.asked.kind],
            "side": order.asked.side.upper(),
            "workingTime": order.created_ms,
            "selfTradePreventionMode": "NONE",
        },
    }


def queried(order: AccountOrder) -> dict[str, Any]:
    """An order in the answer to a query."""
    return {
        "symbol": order.instrument.pair,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        **terms(order),
        "stopPrice": NO_AMOUNT,
        "icebergQty": NO_AMOUNT,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": True,
        "workingTime": order.created_ms,
    }


def trade(order: AccountOrder, fill: AccountFill) -> dict[str, Any]:
    """One entry of `myTrades`."""
    instrument = order.instrument
    return {
        "symbol": instrument.pair,
        "id": fill.trade_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "price": price(instrument, fill.price),
        "qty": quantity(instrument, fill.quantity),
        "quoteQty": money(instrument, fill.price * fill.quantity),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": order.asked.side == "buy",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def balance(asset: str, owned: AccountBalance) -> dict[str, str]:
    """One entry of an account's `balances`."""
    return {"asset": asset, "free": amount(owned.free), "locked": amount(owned.held)}


def account(owner: SimulatedAccount, updated_ms: int, *, omit_zero: bool) -> dict[str, Any]:
    """`GET /api/v3/account`."""
    return {
        **_commissions(owner.fees),
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": updated_ms,
        "accountType": "SPOT",
        "balances": [
            balance(asset, owned)
            for asset, owned in owner.balances.items()
            if owned.total or not omit_zero
        ],
        "permissions": ["SPOT"],
        "uid": 354937868,
    }


def commission(instrument: SimulatedInstrument, fees: FeeRates) -> dict[str, Any]:
    """`GET /api/v3/account/commission`."""
    nothing = _rates(FeeRates(0, 0))
    return {
        "symbol": instrument.pair,
        "standardCommission": _rates(fees),
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": bool(fees.discount_asset),
            "enabledForSymbol": True,
            "discountAsset": fees.discount_asset,
            "discount": amount(DISCOUNTED_PERCENT * 10**AMOUNT_SCALE // 100),
        },
    }


def _rates(fees: FeeRates) -> dict[str, str]:
    return {
        "maker": amount(fees.maker),
        "taker": amount(fees.taker),
        "buyer": NO_AMOUNT,
        "seller": NO_AMOUNT,
    }


def _commissions(fees: FeeRates) -> dict[str, Any]:
    return {
        # Whole basis points; `commissionRates` has smaller fractions too.
        "makerCommission": fees.maker // 10_000,
        "takerCommission": fees.taker // 10_000,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(fees),
    }
