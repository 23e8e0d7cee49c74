"""Exit codes, and errors as one clear line on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeVar

from redis.exceptions import RedisError

from services._runtime.redis_client import explain
from services._runtime.settings import Settings, SettingsError, load
from services._runtime.text_sanitizing import escape_control_characters


class ExitCode(IntEnum):
    """The exit codes, for scripts."""

    DONE = 0  # carried out: accepted, filled, cancelled, all is well
    NO = 1  # rejected, not found, not ready, or a check failed
    USAGE = 2  # invalid arguments or settings; nothing was sent
    REDIS = 3  # Redis can't be reached or refuses; nothing was sent
    UNKNOWN = 4  # the outcome is unknown; repeat the command with the same --id
    NO_ANSWER = 5  # no answer, or the order is still open, after --timeout
    INTERRUPTED = 130


class CommandError(Exception):
    """A command that can't continue; the message is printed on stderr."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def print_message(message: str) -> None:
    """Print *message* on stderr: stdout holds results only."""
    for line in message.split("\n"):
        sys.stderr.write(escape_control_characters(line) + "\n")
    sys.stderr.flush()


@contextmanager
def unknown_after(what: str) -> Iterator[None]:
    """Redis errors in the block exit with UNKNOWN, because *what* has already happened."""
    try:
        yield
    except (RedisError, OSError) as e:
        raise CommandError(ExitCode.UNKNOWN, f"{what}, but {explain(e)}") from None


S = TypeVar("S", bound=Settings)


def load_settings(settings_type: type[S]) -> S:
    """Load the settings from the environment and the files.

    Raises:
        CommandError: a setting is invalid (USAGE).
    """
    try:
        return load(settings_type)
    except SettingsError as e:
        raise CommandError(ExitCode.USAGE, f"settings: {e}") from None
