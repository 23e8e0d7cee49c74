"""Start the Binance connector: `python -m services.binance_connector`."""

from services._runtime import lifecycle
from services.binance_connector.service import serve
from services.binance_connector.settings import BinanceSettings

raise SystemExit(lifecycle.run("binance_connector", BinanceSettings, serve))
