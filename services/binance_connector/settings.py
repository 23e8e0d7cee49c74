"""The Binance connector's settings."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from services._connector_kit.orders.settings import TradingSettings
from services._connector_kit.settings import SomeSymbols
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import ApiKey, HttpUrl, Port, WebSocketUrl

BINANCE = MANIFESTS["binance"]
# https://developers.binance.com/docs/binance-spot-api-docs/testnet and its demo mode.
TESTNETS = frozenset(
    {"testnet.binance.vision", "api1.testnet.binance.vision", "demo-api.binance.com"}
)

# What to check when the key is refused: -2014, -2015 and -1022 don't identify the cause.
KEY_HELP = (
    "check BINANCE_API_KEY and BINANCE_API_SECRET: both whole, of an HMAC key of the exchange that "
    "BINANCE_REST_URL names, with this machine's address on its IP list, allowed to read and trade"
)


class BinanceSettings(TradingSettings):
    """Live, testnet and simulator differ in the three URLs only."""

    section: ClassVar[str] = "binance_connector"

    health_port: Port = BINANCE.health_port
    binance_symbols: SomeSymbols = BINANCE.symbols
    binance_api_key: ApiKey = None
    binance_api_secret: ApiKey = None
    binance_rest_url: HttpUrl = BINANCE.live_url("BINANCE_REST_URL")
    binance_stream_url: WebSocketUrl = BINANCE.live_url("BINANCE_STREAM_URL")
    binance_ws_api_url: WebSocketUrl = BINANCE.live_url("BINANCE_WS_API_URL")
    order_validity: Annotated[float, Field(ge=0.1, le=BINANCE.longest_order_validity)] = 5.0

    @model_validator(mode="after")
    def both_or_neither(self) -> Self:
        """Half a key is a mistake."""
        if (self.binance_api_key is None) != (self.binance_api_secret is None):
            raise ValueError(
                "BINANCE_API_KEY and BINANCE_API_SECRET: only one is set; expected both or neither"
            )
        return self
