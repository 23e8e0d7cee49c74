"""stdout and stderr that never raise: a command continues if its output can't be written."""

import errno
import io
import os
import sys
from typing import TextIO, cast


class Output(io.TextIOBase):
    """A standard stream. After the first failed write, output is discarded and `fault` is set."""

    def __init__(self, stream: TextIO | None) -> None:
        # None: the process was started without this stream.
        self._stream = stream
        self.fault: OSError | None = None
        if stream is None:
            self.fault = OSError(errno.EBADF, os.strerror(errno.EBADF))
        elif isinstance(stream, io.TextIOWrapper):
            # Characters outside the terminal's encoding are escaped.
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override] # TextIOBase has an attribute
        """The encoding of the underlying stream."""
        return self._stream.encoding if self._stream else "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write *text*, or discard it after a fault."""
        if self._stream is not None and self.fault is None:
            try:
                self._stream.write(text)
            except OSError as e:
                self._lose(self._stream, e)
        return len(text)

    def flush(self) -> None:
        """Flush the buffer, or discard it after a fault."""
        if self._stream is not None and self.fault is None:
            try:
                self._stream.flush()
            except OSError as e:
                self._lose(self._stream, e)

    def _lose(self, stream: TextIO, error: OSError) -> None:
        self.fault = error
        # Python flushes the buffer at exit, and a failure there would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def guard() -> None:
    """Replace stdout and stderr by streams that never raise."""
    sys.stdout = cast("TextIO", Output(sys.stdout))
    sys.stderr = cast("TextIO", Output(sys.stderr))


def output_error() -> OSError | None:
    """Why stdout could not be written; None if it could."""
    return sys.stdout.fault if isinstance(sys.stdout, Output) else None
