"""Binance's face of the simulated markets: REST, streams, WebSocket API."""
