"""Ports for processes that tests start."""

from services._local.ports import quiet_port

__all__ = ["quiet_port"]
