"""Binance's wire protocols on the simulated markets: REST, streams, WebSocket API."""
