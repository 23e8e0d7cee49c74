"""Whose money: a Redis belongs to one world only."""

from typing import Literal

World = Literal["live", "testnet", "simulator"]

# Hosts that can only be a simulator: this machine, and the name it has in compose.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "exchange_simulator"})
