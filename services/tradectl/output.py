"""stdout and stderr: a command isn't ended by what can't be written to them."""

import errno
import io
import os
import sys
from typing import TextIO, cast


class Output(io.TextIOBase):
    """A standard stream: what can't be written is lost, `fault` says why, the command goes on."""

    def __init__(self, stream: TextIO | None) -> None:
        # None: the process was started without it.
        self._stream = stream
        self.fault: OSError | None = None
        if stream is None:
            self.fault = OSError(errno.EBADF, os.strerror(errno.EBADF))
        elif isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal hasn't got is spelled out.
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override] # TextIOBase has an attribute
        """The stream's."""
        return self._stream.encoding if self._stream else "utf-8"

    def isatty(self) -> bool:
        """Whether a person watches."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write *text*, or lose it."""
        if self._stream is not None and self.fault is None:
            try:
                self._stream.write(text)
            except OSError as e:
                self._lose(self._stream, e)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or lose it."""
        if self._stream is not None and self.fault is None:
            try:
                self._stream.flush()
            except OSError as e:
                self._lose(self._stream, e)

    def _lose(self, stream: TextIO, error: OSError) -> None:
        self.fault = error
        # What is still buffered is written at the exit, where a failure has its own exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def guard() -> None:
    """Let no command depend on its output."""
    sys.stdout = cast("TextIO", Output(sys.stdout))
    sys.stderr = cast("TextIO", Output(sys.stderr))


def output_error() -> OSError | None:
    """Why results couldn't be written; None where all were."""
    return sys.stdout.fault if isinstance(sys.stdout, Output) else None
