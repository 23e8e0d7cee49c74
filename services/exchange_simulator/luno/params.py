"""What a client sends to Luno's REST API: parameters from the query and from a form body."""

import re
from collections.abc import Mapping

from aiohttp import web
from multidict import MultiDict

from services.exchange_simulator.luno.wire import LunoError

NUMBER = re.compile(r"[0-9]{1,19}")  # an account's has 19


class Params:
    """The parameters of one call; names may repeat. Those nobody asks for don't matter.

    `path` has those in the path: an SDK may send them in the query as well.
    """

    def __init__(self, values: MultiDict[str], path: Mapping[str, str]) -> None:
        self._values = values
        self.path = path

    @classmethod
    async def from_request(cls, request: web.Request) -> "Params":
        """Read them: SDKs differ in where they put them, and the venue takes both."""
        values = MultiDict(request.query)
        for name, value in (await request.post()).items():
            if isinstance(value, str):
                values.add(name, value)
        return cls(values, request.match_info)

    def text(self, name: str) -> str | None:
        """A text, None when it wasn't sent or is empty."""
        return self._values.get(name) or None

    def texts(self, name: str) -> list[str]:
        """All values of a name that repeats."""
        return self._values.getall(name, [])

    def number(self, name: str) -> int | None:
        """A whole number >= 0, None when it wasn't sent.

        Raises:
            LunoError: it is no such number.
        """
        text = self.text(name)
        if text is None:
            return None
        if not NUMBER.fullmatch(text):
            raise LunoError(400, "ErrInvalidArguments", f"{name}={text[:40]!r}: want a number")
        return int(text)

    def flag(self, name: str) -> bool:
        """True for "true", "True" and "1"; false when it wasn't sent.

        Raises:
            LunoError: it is neither that nor its opposite.
        """
        text = (self.text(name) or "false").lower()
        if text not in ("true", "1", "false", "0"):
            raise LunoError(400, "ErrInvalidArguments", f"{name}={text[:40]!r}: want true or false")
        return text in ("true", "1")

    def limit(self, default: int, most: int) -> int:
        """`limit`.

        Raises:
            LunoError: ErrLimitOutOfRange.
        """
        value = self.number("limit")
        if value is None:
            return default
        if not 1 <= value <= most:
            raise LunoError(400, "ErrLimitOutOfRange", f"limit={value}: want 1 to {most}")
        return value
