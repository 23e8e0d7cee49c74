"""The ledger: the true state of all orders, open and closed."""

from collections import Counter

from services.exchange_simulator.account_order import NewOrder
from services.exchange_simulator.ledger import ledger
from services.exchange_simulator.luno.order_wire import public_id
from tests.unit.exchange_simulator.floors import BTC, NOW, XBT, BinanceFloor, LunoFloor


def test_the_ledger_has_orders_fills_balances_and_arrivals() -> None:
    """All decimals are texts; ids are the venue's public ids."""
    floor = BinanceFloor()
    floor.others(BTC, "sell", "60000.00", "0.1")
    floor.others(BTC, "buy", "60000.00", "0.05")
    floor.buy("60000.00", "0.1", "mine")
    found = ledger("binance", floor.account, Counter({"mine": 2}))
    order = floor.order("mine")
    assert found["orders"] == [
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
    assert found["arrivals"] == {"mine": 2}
    assert found["balances"]["USDT"] == {"free": "994000.00000000", "locked": "3000.00000000"}


def test_lunos_orders_have_lunos_ids() -> None:
    """In the format of its REST API."""
    floor = LunoFloor()
    order = floor.account.place(NewOrder(XBT, "mine", "limit", "buy", 10_000, 1_390_000))
    found = ledger("luno", floor.account, Counter())
    assert [o["order_id"] for o in found["orders"]] == [public_id(order)]
