"""Settings that exist once for each exchange of the registry, such as `<EXCHANGE>_SYMBOLS`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import SecretStr, create_model

from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import Settings, Symbols

S = TypeVar("S", bound=Settings)
Fields = Mapping[str, tuple[Any, Any]]

# By field: its type and its default. A connector's own settings have these fields too.
SYMBOLS: Fields = {
    each.symbols_variable.lower(): (Symbols, each.symbols) for each in MANIFESTS.values()
}
CREDENTIALS: Fields = {
    variable.lower(): (SecretStr | None, None)
    for each in MANIFESTS.values()
    for variable in each.credentials
}


def with_fields(fields: Fields) -> Callable[[type[S]], type[S]]:
    """A class decorator that adds *fields* to a class of settings."""

    def add(settings: type[S]) -> type[S]:
        added: type[S] = create_model(
            settings.__name__,
            __base__=settings,
            __module__=settings.__module__,
            __doc__=settings.__doc__,
            **dict[str, Any](fields),
        )
        return added

    return add


def watched_symbols(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The slash symbols of each exchange, from settings that have the fields `SYMBOLS`."""
    return {
        name: getattr(settings, each.symbols_variable.lower()) for name, each in MANIFESTS.items()
    }
