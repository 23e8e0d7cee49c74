"""The interface of indicators, and how plugins are found and loaded."""

import inspect
import re
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, cast, get_type_hints

from services.indicators.candles import Candle
from services.indicators.maths import BUILT_IN

ENTRY_POINTS = "exchange_connector_suite.indicators"
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_OUTPUT = re.compile(r"[a-z0-9_]*")


class PluginError(Exception):
    """A plugin that can't be used; the message names it and says what is expected."""


class Indicator(Protocol):
    """One running indicator. Its values depend only on the candles that it was given.

    `memory`: the number of last candles that determine its value.
    """

    memory: int

    def add(self, candle: Candle) -> tuple[float, ...] | None:
        """One number for each of the plugin's outputs; None while there are too few candles."""


class Plugin(Protocol):
    """A class of indicators; it is called with the numbers in the configuration.

    `name` is the first part of the stream's name. Each of its `outputs` has a stream: "" is the
    stream named as configured, "signal" the one with the suffix `_signal`.
    """

    name: str
    outputs: tuple[str, ...]

    def __call__(self, *numbers: float) -> Indicator:
        """A new indicator.

        Raises:
            ValueError: a number is invalid; the message names the parameter.
        """


def parameters(plugin: Plugin) -> dict[str, type[int] | type[float]]:
    """The names of its numbers, and the type of each.

    Raises:
        PluginError: a parameter is not a number.
    """
    cls: Any = plugin
    hints = get_type_hints(cls.__init__)
    found = {}
    for name in inspect.signature(cls).parameters:
        if hints.get(name) not in (int, float):
            raise PluginError(
                f"{where(plugin)}: parameter {name!r} is annotated {hints.get(name)!r}; "
                "expected int or float: it is a number in the configuration"
            )
        found[name] = hints[name]
    return found


def form(plugin: Plugin) -> str:
    """Its form in the configuration: `rsi_<period>`."""
    return "_".join([plugin.name, *(f"<{name}>" for name in parameters(plugin))])


def where(plugin: object) -> str:
    """The dotted path of a plugin's class."""
    return f"{getattr(plugin, '__module__', '?')}.{getattr(plugin, '__qualname__', plugin)}"


class Plugins:
    """The available plugins: built-in ones, installed packages' entry points, and dotted paths."""

    def __init__(self, dotted_paths: Iterable[str] = ()) -> None:
        """Load the plugins at *dotted_paths*; entry points are loaded on first use.

        Raises:
            PluginError: one can't be loaded, isn't a plugin, or has the name of another.
        """
        self._plugins: dict[str, Plugin] = {}
        for cls in BUILT_IN:
            self._add(cast(Plugin, cls))
        for path in dotted_paths:
            self._add(_checked(_loaded(path), path))
        self._entry_points = {found.name: found for found in entry_points(group=ENTRY_POINTS)}

    def _add(self, plugin: Plugin) -> None:
        other = self._plugins.get(plugin.name)
        if other is not None:
            raise PluginError(
                f"{where(plugin)}: its name {plugin.name!r} is that of {where(other)}; "
                "expected a unique name"
            )
        self._plugins[plugin.name] = plugin

    @property
    def names(self) -> list[str]:
        """The names of all plugins."""
        return sorted({*self._plugins, *self._entry_points})

    @property
    def forms(self) -> list[str]:
        """The form of each in the configuration; `name_...` if it is not loaded."""
        loaded = {name: form(plugin) for name, plugin in self._plugins.items()}
        return [loaded.get(name, f"{name}_…") for name in self.names]

    def get(self, name: str) -> Plugin:
        """The plugin of this name.

        Raises:
            KeyError: there is no such plugin.
            PluginError: it is an installed package's, and can't be loaded or isn't a plugin.
        """
        if name not in self._plugins:
            entry_point = self._entry_points[name]
            path = entry_point.value.replace(":", ".")
            plugin = _checked(_loaded(path), f"entry point {name} = {entry_point.value}")
            if plugin.name != name:
                raise PluginError(
                    f"entry point {name} = {entry_point.value}: the class's name is "
                    f"{plugin.name!r}; expected the same"
                )
            self._add(plugin)
        return self._plugins[name]


def _loaded(path: str) -> object:
    module, _, name = path.rpartition(".")
    if not module:
        raise PluginError(f"{path!r} is not a dotted path; expected e.g. my_indicators.vwma.Vwma")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as e:
        raise PluginError(
            f"{path!r} can't be loaded: {e}; expected a module that can be imported from here "
            "(PYTHONPATH says where to look), and a class in it"
        ) from e


def _checked(found: object, path: str) -> Plugin:
    if not isinstance(found, type):
        raise PluginError(f"{path}: not a class; expected a class with name, outputs and add")
    name, outputs = getattr(found, "name", None), getattr(found, "outputs", None)
    if not isinstance(name, str) or not _WORD.fullmatch(name):
        raise PluginError(f"{path}: name is {name!r}; expected lower snake case, e.g. 'vwma'")
    if (
        not isinstance(outputs, tuple)
        or not outputs
        or len(set(outputs)) != len(outputs)
        or not all(isinstance(output, str) and _OUTPUT.fullmatch(output) for output in outputs)
    ):
        raise PluginError(
            f"{path}: outputs is {outputs!r}; expected a tuple of the suffix of each stream's "
            'name, e.g. ("",) or ("", "upper", "lower")'
        )
    if not callable(getattr(found, "add", None)):
        raise PluginError(f"{path}: has no method add; expected add(self, candle)")
    plugin = cast(Plugin, found)
    parameters(plugin)
    return plugin
