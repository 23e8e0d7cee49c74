"""Commands as they come: bytes from anybody, read strictly."""

import json
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services._runtime.redis_parser import original_size

M = TypeVar("M", bound=BaseModel)

# No command of ours comes near it.
MAX_BYTES = 64 * 1024

# A refusal names so many faults, and counts the others.
MAX_FAULTS = 5

WANT_OBJECT = 'want an object, e.g. {"symbol": "BTC/USDT"}'

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 50
_short.maxlevel = 2


class UnreadableError(ValueError):
    """A command that can't be read; `fields` is what could be made out of it.

    Its texts can be written down: half a character became a question mark.
    """

    def __init__(self, message: str, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: _whole(value) for name, value in (fields or {}).items()}


def parse(model: type[M], data: bytes, defaults: Mapping[str, str]) -> M:
    """The command that *data* holds; *defaults* stand in for fields that it doesn't carry.

    Raises:
        UnreadableError: it is no JSON object of the model's form; the message names each fault.
    """
    if not data:
        raise UnreadableError(
            f"no JSON: the entry has no field data, or an empty one; {WANT_OBJECT}"
        )
    fields = {**defaults, **_object(data)}
    try:
        return model.model_validate(fields)
    except ValidationError as e:
        errors = e.errors(include_url=False)
        faults = [_fault(error, model) for error in errors[:MAX_FAULTS]]
        if len(errors) > MAX_FAULTS:
            faults.append(f"and {len(errors) - MAX_FAULTS} more")
        raise UnreadableError("; ".join(faults), fields) from None


def _object(data: bytes) -> dict[str, Any]:
    """The JSON object in *data*, in which no name stands twice and all text is text."""
    if (size := original_size(data)) > MAX_BYTES:
        raise UnreadableError(f"{size} bytes; want at most {MAX_BYTES}")
    twice: set[str] = set()

    def note_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                twice.add(name)
            found[name] = value
        return found

    try:
        # Every number is a float: an integer of a thousand digits is too large, and no crash.
        found = json.loads(data.decode(), object_pairs_hook=note_twice, parse_int=float)
    except (ValueError, RecursionError) as e:
        raise UnreadableError(f"no JSON: {e}; it begins {data[:40]!r}, {WANT_OBJECT}") from None
    if not isinstance(found, dict):
        raise UnreadableError(f"{_short.repr(found)} is no JSON object; {WANT_OBJECT}")
    if twice:
        sure = {name: value for name, value in found.items() if name not in twice}
        fault = f"{_short.repr(min(twice))} stands there twice; want each name once"
        raise UnreadableError(fault, sure)
    for name, value in found.items():
        if not _is_text([name, value]):
            fault = f"{_short.repr(name)}: {_short.repr(value)} holds half a character"
            raise UnreadableError(f"{fault} (a lone surrogate); want text", found)
    return found


def _whole(value: object) -> object:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _is_text(value: object) -> bool:
    """Whether what JSON's escapes spell can be written down as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _fault(error: Any, model: type[BaseModel]) -> str:
    # Names come from anybody too: none may be long, or hold what a terminal obeys.
    where = ".".join(str(part) for part in error["loc"])
    where = where if len(where) <= 50 and where.isprintable() else _short.repr(where)
    if error["type"] == "missing":
        return f"{where}: {error['msg']}"
    value = _short.repr(error["input"])
    if error["type"] == "extra_forbidden":
        return f"{where}={value}: no field of this command; want {', '.join(model.model_fields)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}={value}: {message}"
