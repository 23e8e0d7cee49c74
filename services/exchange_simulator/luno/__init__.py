"""Luno's wire protocols on the simulated markets: REST and streams."""
