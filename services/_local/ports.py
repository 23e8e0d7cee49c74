"""Free TCP ports, reserved until the process that they are for binds them."""

import fcntl
import os
import secrets
import socket
import tempfile
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Self

from services._local.settings import HOST

TRIES = 100
# Below the ephemeral ports (Linux: from 32768): no outgoing connection uses one of these between
# the check and the start of the process.
FIRST_STATIC_PORT, LAST_STATIC_PORT = 10_000, 32_000


class NoPortError(Exception):
    """No free port in the range that was searched."""


class Ports:
    """The ports that this process has claimed, until the block ends.

    A claim is a locked file, because a service binds its port some time after it was chosen. The
    system releases the lock when this process ends.
    """

    def __init__(self) -> None:
        self._claims: list[TextIOWrapper] = []
        self._folder = Path(tempfile.gettempdir()) / f"exchange-connector-suite-{os.getuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def take(self, wanted: int) -> int:
        """Claim the port *wanted*, or the next free one.

        Raises:
            NoPortError: none of `TRIES` ports is free.
        """
        for port in range(wanted, wanted + TRIES):
            if self._claim(port):
                return port
        raise NoPortError(f"no port is free from {wanted} to {wanted + TRIES - 1}")

    def take_each(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Claim a port for each name: the wanted one, or a free one that no other name requests.

        Raises:
            NoPortError: none of `TRIES` ports is free.
        """
        free = {name: port for name, port in wanted.items() if self._claim(port)}
        moved = {name: self.take(port) for name, port in wanted.items() if name not in free}
        return free | moved

    def _claim(self, port: int) -> bool:
        claim = (self._folder / f"{port}.lock").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            return False
        if not _is_free(port):
            claim.close()
            return False
        self._claims.append(claim)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release all claims."""
        while self._claims:
            self._claims.pop().close()


def quiet_port() -> int:
    """A free TCP port of 127.0.0.1 outside the ephemeral ports.

    Raises:
        NoPortError: none of `TRIES` random ports is free.
    """
    for _ in range(TRIES):
        port = FIRST_STATIC_PORT + secrets.randbelow(LAST_STATIC_PORT - FIRST_STATIC_PORT)
        if _is_free(port):
            return port
    raise NoPortError(
        f"no port is free among {TRIES} from {FIRST_STATIC_PORT} to {LAST_STATIC_PORT - 1}"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        try:
            s.bind((HOST, port))
        except OSError:
            return False
        return True
