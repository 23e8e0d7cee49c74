"""What the feeds need of Luno's REST."""

from collections.abc import Sequence
from typing import Protocol

from services._connector_kit.market_data.trade_feed import VenueTrade
from services.luno_connector.translate import TickerRow, TopOfBook


class LunoRest(Protocol):
    """The public market data, within the rate budget."""

    async def tickers(self, pairs: Sequence[str]) -> list[TickerRow]:
        """The tickers of *pairs*, in one call."""

    async def top_of_book(self, pair: str) -> TopOfBook:
        """The best 100 price levels a side."""

    async def trades(self, pair: str) -> list[VenueTrade]:
        """The latest trades, up to 100, oldest first."""
