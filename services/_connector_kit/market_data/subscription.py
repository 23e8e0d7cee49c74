"""All that one symbol's market data needs, in one hand."""

from dataclasses import dataclass

from services._connector_kit.instruments import Instrument
from services._connector_kit.market_data.publisher import Publisher
from services._connector_kit.market_data.status import FeedStatus
from services._connector_kit.market_data.trade_feed import LastTrade


@dataclass(slots=True)
class SymbolSubscription:
    """One symbol: what it is, where its messages go, where its feed stands.

    `last_trade` is the last trade in its stream when the connector started.
    """

    instrument: Instrument
    publisher: Publisher
    status: FeedStatus
    last_trade: LastTrade | None
