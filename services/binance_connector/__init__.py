"""The Binance connector."""
