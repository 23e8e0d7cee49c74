"""What the bot is told."""

from services._runtime.settings import ServiceSettings, Symbols


class BotSettings(ServiceSettings):
    """The bot watches the same symbols as the connectors, under the same names."""

    binance_symbols: Symbols = ("BTC/USDT", "ETH/USDT")
    luno_symbols: Symbols = ("XBT/ZAR", "ETH/ZAR")

    @property
    def markets(self) -> dict[str, tuple[str, ...]]:
        """The slash symbols of each exchange."""
        return {"binance": self.binance_symbols, "luno": self.luno_symbols}
