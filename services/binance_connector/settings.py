"""What the Binance connector is told."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from services._connector_kit.protocol import LOOPBACK, World
from services._connector_kit.settings import ConnectorSettings
from services._runtime.settings import Port, Symbols, Url

# https://developers.binance.com/docs/binance-spot-api-docs/testnet and its demo mode.
TESTNETS = frozenset(
    {"testnet.binance.vision", "api1.testnet.binance.vision", "demo-api.binance.com"}
)


class BinanceSettings(ConnectorSettings):
    """Live, testnet and simulator differ in the three URLs only."""

    health_port: Port = 8001
    binance_symbols: Symbols = ("BTC/USDT", "ETH/USDT")
    binance_api_key: SecretStr | None = None
    binance_api_secret: SecretStr | None = None
    binance_rest_url: Url = "https://api.binance.com/api"
    binance_stream_url: Url = "wss://stream.binance.com:9443"
    binance_ws_api_url: Url = "wss://ws-api.binance.com/ws-api/v3"

    @property
    def world(self) -> World:
        """Whose money the REST URL leads to."""
        host = urlsplit(self.binance_rest_url).hostname or ""
        if host in LOOPBACK:
            return "simulator"
        return "testnet" if host in TESTNETS else "live"
