"""Hosts indicators: reads market data, publishes their values."""
