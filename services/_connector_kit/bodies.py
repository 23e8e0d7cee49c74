"""What a venue answers over HTTP, limited while it is read and unpacked."""

import zlib

# Binance's list of all symbols is the largest answer we ask for: some 6 MB.
MOST_BYTES = 16 << 20
# Each list or object takes 60 bytes and more once decoded; the largest answer has 50,000 of them.
MOST_CONTAINERS = 500_000
# The only packing that is asked for.
ACCEPT_ENCODING = "gzip"
# So much is unpacked at once, in bytes.
STEP = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS


class BodyError(ValueError):
    """A body that can't be read: too large, or packed in a way that wasn't asked for."""


class Body:
    """One answer's body, added piece by piece as it came over the wire."""

    def __init__(self, encoding: str | None, *, most: int = MOST_BYTES) -> None:
        """*encoding* is the header Content-Encoding; *most* is in bytes, unpacked.

        Raises:
            BodyError: it is neither gzip nor nothing.
        """
        name = (encoding or "identity").strip().lower()
        if name not in ("gzip", "identity"):
            raise BodyError(f"Content-Encoding {name[:50]!r}; expected gzip or none")
        self._packed = name == "gzip"
        self._begun = False  # unpacking has started; an empty body needs no unpacking
        self._unpacker = zlib.decompressobj(_GZIP)
        self._most = most
        self._bytes = bytearray()

    def add(self, piece: bytes) -> None:
        """The next piece.

        Raises:
            BodyError: it is too large, or no gzip.
        """
        if not self._packed:
            self._keep(piece)
            return
        self._begun = True
        while piece:
            try:
                self._keep(self._unpacker.decompress(piece, STEP))
            except zlib.error as e:
                raise BodyError(f"no gzip: {e}") from e
            if self._unpacker.unused_data:
                raise BodyError("something follows the gzip")
            piece = self._unpacker.unconsumed_tail

    def _keep(self, unpacked: bytes) -> None:
        if len(self._bytes) + len(unpacked) > self._most:
            raise BodyError(f"more than {self._most} bytes")
        self._bytes += unpacked

    def whole(self) -> bytes:
        """All of it, once the last piece was added.

        Raises:
            BodyError: a piece of it is missing, or it would take too much memory once decoded.
        """
        if self._begun and not self._unpacker.eof:
            raise BodyError("the gzip is cut off")
        containers = self._bytes.count(b"[") + self._bytes.count(b"{")
        if containers > MOST_CONTAINERS:
            raise BodyError(f"{containers} lists and objects; expected at most {MOST_CONTAINERS}")
        return bytes(self._bytes)
