"""Orders, trades and balances in Binance's format: exactly the documented keys."""

from services.exchange_simulator.binance import order_wire
from tests.unit.exchange_simulator.floors import BTC, BinanceFloor

# The keys of the answers printed in the venue's documentation.
TERMS = {
    *("price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status"),
    *("timeInForce", "type", "side", "selfTradePreventionMode"),
}
ACK = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
FULL = ACK | TERMS | {"workingTime", "fills"}
CANCEL = ACK | TERMS | {"origClientOrderId"}
QUERY = (ACK - {"transactTime"}) | TERMS
QUERY |= {"stopPrice", "icebergQty", "time", "updateTime", "isWorking", "workingTime"}
TRADE = {
    *("symbol", "id", "orderId", "orderListId", "price", "qty", "quoteQty", "commission"),
    *("commissionAsset", "time", "isBuyer", "isMaker", "isBestMatch"),
}
ACCOUNT = {
    *("makerCommission", "takerCommission", "buyerCommission", "sellerCommission"),
    *("commissionRates", "canTrade", "canWithdraw", "canDeposit", "brokered"),
    *("requireSelfTradePrevention", "preventSor", "updateTime", "accountType", "balances"),
    *("permissions", "uid"),
}


def traded() -> BinanceFloor:
    """An account with one half-filled order."""
    floor = BinanceFloor()
    floor.others(BTC, "sell", "60000.00", "0.1")
    floor.others(BTC, "buy", "60000.00", "0.05")
    floor.buy("60000.00", "0.1")
    return floor


def test_answers_have_the_documented_keys() -> None:
    """ACK, FULL, cancel, query, trade, account."""
    floor = traded()
    order = floor.order("mine")
    assert set(order_wire.placed(order, "ACK")) == ACK
    assert set(order_wire.placed(order, "FULL")) == FULL
    assert set(order_wire.canceled(order)) == CANCEL
    assert set(order_wire.queried(order)) == QUERY
    assert set(order_wire.trade(order, order.fills[0])) == TRADE
    assert set(order_wire.account(floor.account, 1, omit_zero=False)) == ACCOUNT


def test_an_expired_order_has_its_reason() -> None:
    """Answers and queries have one more key."""
    floor = traded()
    floor.buy("60000.00", "0.1", "ioc", timeInForce="IOC")
    assert set(order_wire.queried(floor.order("ioc"))) == QUERY | {"expiryReason"}


def test_numbers_are_texts_with_eight_decimals() -> None:
    """Independent of the symbol's scales."""
    order = traded().order("mine")
    fields = order_wire.queried(order) | order_wire.trade(order, order.fills[0])
    for key in ("price", "origQty", "executedQty", "cummulativeQuoteQty", "qty", "commission"):
        assert len(fields[key].partition(".")[2]) == 8
    assert (fields["executedQty"], fields["cummulativeQuoteQty"]) == ("0.05000000", "3000.00000000")
    assert (fields["isBuyer"], fields["isMaker"]) == (True, False)


def test_statuses_are_spelled_as_the_venue_does() -> None:
    """From NEW to a final status."""
    floor = traded()
    assert order_wire.status(floor.order("mine")) == "PARTIALLY_FILLED"
    floor.others(BTC, "sell", "60000.00", "0.05")
    assert order_wire.status(floor.order("mine")) == "FILLED"
    floor.buy("58000.00", "0.1", "next")
    assert order_wire.status(floor.order("next")) == "NEW"
    floor.account.cancel(floor.order("next"))
    assert order_wire.status(floor.order("next")) == "CANCELED"
