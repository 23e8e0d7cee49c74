"""Ports for processes that tests start."""

import secrets
import socket
from contextlib import suppress

# Below those that systems hand out by themselves: no outgoing connection takes one of these
# between the look at it and the start of the process.
FIRST, LAST = 10_000, 32_000


def quiet_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses just now, nor will by chance."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        with suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port
