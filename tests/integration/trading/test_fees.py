"""The account's own fees: the simulator takes them, and the connector tells them."""

from pathlib import Path
from typing import Any

from common_models import InstrumentInfo
from common_models.stream_names import state_key
from tests.support.eventually import eventually_async
from tests.support.orders.trading import MARKETS, TradingDesk, trading_desk

BINANCE, _ = MARKETS


async def until_told(desk: TradingDesk) -> InstrumentInfo:
    """The instrument it trades, once its fees are told."""
    found: list[InstrumentInfo] = []

    async def told() -> bool:
        data: Any = await desk.redis.hget(state_key(desk.name, "instruments"), desk.market.symbol)
        found[:] = [InstrumentInfo.model_validate_json(data)] if data else []
        return any(each.taker_fee is not None for each in found)

    await eventually_async(told)
    return found[0]


async def test_the_accounts_own_fees_are_published_with_the_instruments(desk: TradingDesk) -> None:
    """Of each exchange, as it says them; no third asset pays them here."""
    shares = {"binance": (0.0009, 0.001), "luno": (0.001, 0.0025)}
    async with desk.connector() as service:
        told = await until_told(desk)
        assert (told.maker_fee, told.taker_fee) == shares[told.exchange]
        assert told.fee_prices == {}
        assert "fees_not_known" not in service.log.read_text()


async def test_the_asset_that_pays_fees_is_published_with_its_price(tmp_path: Path) -> None:
    """Where Binance has a market of it, which the connector needn't watch."""
    markets = "BTC/USDT,ETH/USDT,BNB/USDT"
    async with trading_desk(BINANCE, tmp_path, SIMULATOR_SYMBOLS=markets) as desk:
        async with desk.connector():
            prices = (await until_told(desk)).fee_prices
        assert list(prices) == ["BNB"]
        assert 500 < prices["BNB"] < 700
