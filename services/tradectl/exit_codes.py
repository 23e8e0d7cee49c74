"""How a command ends: its exit code, and how errors become one clear line."""

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
    NO = 1  # the answer is no: rejected, not there, not ready, a check failed
    USAGE = 2  # arguments or settings that can't be used; nothing was sent
    REDIS = 3  # Redis can't be reached or refuses; nothing was sent
    UNKNOWN = 4  # it isn't known whether it happened; ask again with the same --id
    NO_ANSWER = 5  # no answer, or no end, within --timeout
    INTERRUPTED = 130


class CommandError(Exception):
    """A command that can't go on; the message is what the person is told."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def print_message(message: str) -> None:
    """Say something to the person: on stderr, so that stdout holds results only."""
    for line in message.split("\n"):
        sys.stderr.write(escape_control_characters(line) + "\n")
    sys.stderr.flush()


@contextmanager
def unknown_after(what: str) -> Iterator[None]:
    """What fails in here fails after *what*: it can't end as "nothing was sent"."""
    try:
        yield
    except (RedisError, OSError) as e:
        raise CommandError(ExitCode.UNKNOWN, f"{what}, but {explain(e)}") from None


S = TypeVar("S", bound=Settings)


def load_settings(settings_type: type[S]) -> S:
    """What the environment says.

    Raises:
        StopError: something in it can't be used.
    """
    try:
        return load(settings_type)
    except SettingsError as e:
        raise CommandError(ExitCode.USAGE, f"settings: {e}") from None
