"""Luno's face of the simulated markets: REST and the market stream."""
