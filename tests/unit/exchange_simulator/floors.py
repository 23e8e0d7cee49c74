"""Markets without random traders, an account, and both venues' endpoints: only the test trades."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from services.exchange_simulator.account import AccountEvent, FeeRates, SimulatedAccount
from services.exchange_simulator.account_order import AMOUNT_SCALE, BY_SYMBOL, AccountOrder
from services.exchange_simulator.binance import trading as binance_trading
from services.exchange_simulator.binance.feed import BinanceFeed
from services.exchange_simulator.binance.order_count import OrderCount
from services.exchange_simulator.binance.queries import BinanceVenue
from services.exchange_simulator.binance.signing import BinanceKey
from services.exchange_simulator.budget import MinuteBudget
from services.exchange_simulator.instruments import whole
from services.exchange_simulator.luno import trading as luno_trading
from services.exchange_simulator.luno.feed import LunoFeed
from services.exchange_simulator.luno.rest import LunoVenue
from services.exchange_simulator.luno.stream import ApiKey
from services.exchange_simulator.market import SimulatedMarket
from services.exchange_simulator.matching import Side, Terms

NOW = 1_790_000_010_000
BTC, ETH = "BTC/USDT", "ETH/USDT"
XBT = "XBT/ZAR"
FEES = FeeRates(maker=90_000, taker=100_000)
FUNDS = {"BTC": "10", "ETH": "100", "USDT": "1000000", "XBT": "5", "ZAR": "10000000"}


class Clock:
    """A clock that a test sets; Unix ms."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        """The current time."""
        return self.now


class Floor:
    """Markets with an account, its events, and another trader."""

    def __init__(self, *symbols: str, begin: int = 0, funds: Mapping[str, str] = FUNDS) -> None:
        self.clock = Clock()
        self.markets = {
            symbol: SimulatedMarket(BY_SYMBOL[symbol], self.clock, begin) for symbol in symbols
        }
        amounts = {a: whole(text, AMOUNT_SCALE) for a, text in ({**FUNDS, **funds}).items()}
        self.account = SimulatedAccount(self.markets, FEES, amounts)
        self.events: list[AccountEvent] = []
        self.account.subscribe(self.events.append)

    def others(self, symbol: str, side: Side, price: str, quantity: str, **more: Any) -> None:
        """A limit order of another trader."""
        instrument = BY_SYMBOL[symbol]
        ticks, lots = (
            whole(price, instrument.price_scale),
            whole(quantity, instrument.quantity_scale),
        )
        self.markets[symbol].submit(Terms("other", side, lots, ticks, **more))

    def order(self, client_id: str) -> AccountOrder:
        """The newest order with that client id."""
        return self.account.by_client_id(client_id)[-1]

    def free(self, asset: str) -> int:
        """The free balance, in 1e-8."""
        return self.account.balances[asset].free

    def held(self, asset: str) -> int:
        """The held balance, in 1e-8."""
        return self.account.balances[asset].held


class BinanceFloor(Floor):
    """Two symbols and Binance's signed endpoints."""

    def __init__(self, funds: Mapping[str, str] = FUNDS) -> None:
        super().__init__(BTC, ETH, funds=funds)
        feeds = {m.instrument.pair: BinanceFeed(m) for m in self.markets.values()}
        venue = BinanceVenue(feeds, self.clock, MinuteBudget(6000, self.clock))
        key = BinanceKey("key", SecretStr("secret"))
        count = OrderCount(self.clock)
        self.account.subscribe(count.on_account_event)
        self.trading = binance_trading.BinanceTrading(venue, self.account, key, count)

    def call(self, name: str, **params: Any) -> Any:
        """The answer of an endpoint to a request that arrives now."""
        sent = {key: str(value) for key, value in params.items()}
        window = {"timestamp": str(self.clock.now)}
        return binance_trading.answer_signed(self.trading, name, window | sent, self.clock.now)[1]

    def buy(self, price: str, quantity: str, client_id: str = "mine", **more: Any) -> Any:
        """A limit order to buy BTC."""
        terms = {"type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": quantity}
        return self.call(
            "order.place",
            **({"symbol": "BTCUSDT", "side": "BUY", "newClientOrderId": client_id} | terms | more),
        )


class LunoFloor(Floor):
    """Two pairs and Luno's private calls."""

    def __init__(self, funds: Mapping[str, str] = FUNDS) -> None:
        super().__init__(XBT, "ETH/ZAR", funds=funds)
        feeds = {m.instrument.pair: LunoFeed(m) for m in self.markets.values()}
        key = ApiKey("key", SecretStr("secret"))
        venue = LunoVenue(feeds, self.clock, MinuteBudget(300, self.clock), key)
        self.trading = luno_trading.LunoTrading(venue, self.account)
