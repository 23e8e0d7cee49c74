"""The HTTP session of the SDK: answers limited while they are read."""

import aiohttp

from services._connector_kit.bodies import ACCEPT_ENCODING, Body


class LimitedResponse(aiohttp.ClientResponse):
    """An answer whose body is unpacked and limited by `Body`, not by aiohttp."""

    async def read(self) -> bytes:
        """The body; raises ValueError for one that is too large, or can't be unpacked."""
        if self._body is None:
            try:
                body = Body(self.headers.get("Content-Encoding"))
                async for piece in self.content.iter_any():
                    body.add(piece)
                self._body = body.whole()
            except BaseException:
                self.close()
                raise
        return self._body

    @property
    def body(self) -> bytes:
        """What was read of it."""
        return self._body or b""


SESSION = {"response_class": LimitedResponse, "auto_decompress": False}


def ask_for_gzip(session: aiohttp.ClientSession) -> None:
    """Name the one packing that `LimitedResponse` can read."""
    session.headers["Accept-Encoding"] = ACCEPT_ENCODING
