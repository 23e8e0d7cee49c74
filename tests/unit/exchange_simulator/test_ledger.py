"""The ledger: every order ever, as it really was."""

from collections import Counter

from services.exchange_simulator.account_order import NewOrder
from services.exchange_simulator.ledger import ledger
from services.exchange_simulator.luno.order_wire import public_id
from tests.unit.exchange_simulator.floors import BTC, NOW, XBT, BinanceFloor, LunoFloor


def test_it_has_orders_fills_balances_and_arrivals() -> None:
    """All decimals are texts; ids are those that the venue's clients see."""
    floor = BinanceFloor()
    floor.others(BTC, "sell", "60000.00", "0.1")
    floor.others(BTC, "buy", "60000.00", "0.05")
    floor.buy("60000.00", "0.1", "mine")
    said = ledger("binance", floor.account, Counter({"mine": 2}))
    order = floor.order("mine")
    assert said["orders"] == [
        {
            "symbol": "BTC/USDT",
            "order_id": str(order.order_id),
            "client_order_id": "mine",
            "client_order_id_now": "mine",
            "side": "buy",
            "type": "limit",
            "time_in_force": "GTC",
            "quantity": "0.10000000",
            "price": "60000.00000000",
            "quote_quantity": None,
            "state": "open",
            "filled_quantity": "0.05000000",
            "filled_quote": "3000.00000000",
            "fees": {"BTC": "0.00005000"},
            "created_ms": NOW,
            "updated_ms": NOW,
            "fills": [
                {
                    "trade_id": str(order.fills[0].trade_id),
                    "price": "60000.00000000",
                    "quantity": "0.05000000",
                    "fee": "0.00005000",
                    "fee_asset": "BTC",
                    "maker": False,
                    "time_ms": NOW,
                }
            ],
        }
    ]
    assert said["arrivals"] == {"mine": 2}
    assert said["balances"]["USDT"] == {"free": "994000.00000000", "locked": "3000.00000000"}


def test_lunos_orders_have_lunos_ids() -> None:
    """As its REST API says them."""
    floor = LunoFloor()
    order = floor.account.place(NewOrder(XBT, "mine", "limit", "buy", 10_000, 1_390_000))
    said = ledger("luno", floor.account, Counter())
    assert [o["order_id"] for o in said["orders"]] == [public_id(order)]
