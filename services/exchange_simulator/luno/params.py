"""Parameters of a call to Luno's REST API, from the query and from a form body."""

import re
from collections.abc import Mapping

from aiohttp import web
from multidict import MultiDict

from services.exchange_simulator.luno.wire import LunoError

NUMBER = re.compile(r"[0-9]{1,19}")  # an account id has 19 digits


class Params:
    """The parameters of one call; names may repeat, and unknown names are ignored.

    `path` contains the parameters of the path; an SDK may send them in the query as well.
    """

    def __init__(self, values: MultiDict[str], path: Mapping[str, str]) -> None:
        self._values = values
        self.path = path

    @classmethod
    async def from_request(cls, request: web.Request) -> "Params":
        """Read query and form body: SDKs use either, and the venue accepts both."""
        values = MultiDict(request.query)
        for name, value in (await request.post()).items():
            if isinstance(value, str):
                values.add(name, value)
        return cls(values, request.match_info)

    def text(self, name: str) -> str | None:
        """A text, None if it wasn't sent or is empty."""
        return self._values.get(name) or None

    def texts(self, name: str) -> list[str]:
        """All values of a repeated name."""
        return self._values.getall(name, [])

    def number(self, name: str) -> int | None:
        """A whole number >= 0, None if it wasn't sent.

        Raises:
            LunoError: it isn't such a number.
        """
        text = self.text(name)
        if text is None:
            return None
        if not NUMBER.fullmatch(text):
            raise LunoError(400, "ErrInvalidArguments", f"{name}={text[:40]!r}: expected a number")
        return int(text)

    def flag(self, name: str) -> bool:
        """True for "true", "True" and "1"; False if it wasn't sent.

        Raises:
            LunoError: it is neither true nor false.
        """
        text = (self.text(name) or "false").lower()
        if text not in ("true", "1", "false", "0"):
            message = f"{name}={text[:40]!r}: expected true or false"
            raise LunoError(400, "ErrInvalidArguments", message)
        return text in ("true", "1")

    def limit(self, default: int, most: int) -> int:
        """`limit`, from 1 to *most*.

        Raises:
            LunoError: ErrLimitOutOfRange.
        """
        value = self.number("limit")
        if value is None:
            return default
        if not 1 <= value <= most:
            raise LunoError(400, "ErrLimitOutOfRange", f"limit={value}: expected 1 to {most}")
        return value
