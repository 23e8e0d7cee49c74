"""Venues: both of the simulator as processes, HTTP servers with set answers, listings, limits."""
