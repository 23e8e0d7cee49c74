"""Parameters of a strategy: fields of its class, with a type, bounds and a description.

    class Dip(Strategy):
        share: float = Field(0.01, gt=0, le=0.5, description="how far the price must fall")

STRATEGIES gives them behind the quantity: `my_strategies.Dip:binance:BTC/USDT:0.001?share=0.02`.
"""

import keyword
import types
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

# The name of each type in error messages.
WORDS: Mapping[object, str] = {
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    str: "a text",
}
BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
# Faults for which the text of `describe` is enough.
PLAIN = (
    *("greater_than", "less_than", "int_", "float_", "decimal_", "bool_", "finite_number"),
    *("literal_error", "string_type"),
)


class ParameterError(ValueError):
    """An invalid parameter; the message names it, its value, and what is expected.

    A strategy may raise it in `__init__` if its parameters contradict each other: then the bot does
    not start.
    """


def read(cls: type, given: Mapping[str, object]) -> dict[str, Any]:
    """All parameters of a strategy's class: those *given* (texts are parsed), and the defaults.

    Raises:
        ParameterError: one is invalid, or the class declares an invalid one.
    """
    model = _model(cls)
    try:
        values = model.model_validate(dict(given))
    except ValidationError as e:
        faults = [_fault(cls, each) for each in e.errors(include_url=False)]
        raise ParameterError("; ".join(faults)) from None
    return {name: getattr(values, name) for name in model.model_fields}


def fill_in(names: Iterable[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Fill parameters into names such as `sma_{fast}`, and drop empty names.

    Raises:
        ParameterError: a name in braces is not a parameter.
    """
    try:
        found = [name.format(**values) for name in names]
    except (LookupError, ValueError, AttributeError) as e:
        want = f"the name of a parameter in braces, one of {', '.join(values) or 'none'}"
        raise ParameterError(f"{tuple(names)!r}: {e}; expected {want}") from None
    return tuple(filter(None, found))


def describe(cls: type, name: str) -> str:
    """The valid values of a parameter: `a whole number, at least 1 (20 unless given): candles`."""
    field = _model(cls).model_fields[name]
    kind = field.annotation
    if get_origin(kind) is Literal:
        said = f"one of {', '.join(map(str, get_args(kind)))}"
    else:
        said = WORDS.get(kind, str(kind))
    for bound in field.metadata:
        for attribute, words in BOUNDS.items():
            if (limit := getattr(bound, attribute, None)) is not None:
                said += f", {words} {limit:g}"
    default = "" if field.is_required() else f" ({_written(field.default)} unless given)"
    return f"{said}{default}{': ' if field.description else ''}{field.description or ''}"


def declared(cls: type) -> list[str]:
    """The names of a class's parameters, in the order of their declaration."""
    return list(_model(cls).model_fields)


def _written(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"{value}"


def _fault(cls: type, error: ErrorDetails) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        known = "; ".join(f"{each}: {describe(cls, each)}" for each in declared(cls))
        return f"no parameter {name!r}: expected {known or 'none, it has no parameters'}"
    if error["type"] == "missing":
        return f"{name} is missing: expected {describe(cls, name)}"
    why = "" if error["type"].startswith(PLAIN) else f" {error['msg']};"
    return f"{name}={error['input']!r}:{why} expected {describe(cls, name)}"


@cache
def _model(cls: type) -> type[BaseModel]:
    """The parameters of a class as a pydantic model.

    Raises:
        ParameterError: it declares an invalid parameter.
    """
    fields: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        own = {name: each for name, each in vars(owner).items() if isinstance(each, FieldInfo)}
        hints = _hints(owner) if own else {}
        for name, field in own.items():
            if name not in hints or _is_taken(name, owner):
                raise ParameterError(
                    f"{owner.__name__}.{name} can't be a parameter: expected a name that no "
                    f"strategy has, and a type, e.g. {name}: int = Field(20, ge=1)"
                )
            fields[name] = (hints[name], field)
    config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
    try:
        return create_model(cls.__name__, __config__=config, **fields)
    except (PydanticUserError, NameError, TypeError, ValueError, RuntimeError) as e:
        raise ParameterError(f"the parameters of {cls.__name__} can't be read: {e}") from e


def _hints(owner: type) -> dict[str, Any]:
    try:
        return get_type_hints(owner, include_extras=True)
    except (NameError, TypeError) as e:
        raise ParameterError(f"the types in {owner.__name__} can't be read: {e}") from None


def _is_taken(name: str, owner: type) -> bool:
    """True if a strategy has another attribute of this name, or it is a Python keyword."""
    bases = [base for base in owner.__mro__[1:] if base.__module__ == "services.bot.strategy"]
    used = any(isinstance(getattr(base, name, None), types.FunctionType) for base in bases)
    return used or name in ("market", "state") or keyword.iskeyword(name)
