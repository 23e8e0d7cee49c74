"""Reads STRATEGIES: the strategies, their markets, and their quantities.

    <strategy>:<exchange>:<SYMBOL>:<quantity>        rsi_reversion:binance:BTC/USDT:0.001
    <entry>?<parameter>=<value>&as=<name>            <entry>?oversold=25&as=careful

The strategy is built in, an installed package's entry point, or the dotted path of a class. `as`
names an instance, if a strategy has several on one market. The state of an instance is
saved under its name only, so its parameters and its quantity may be changed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import unquote

from common_models.stream_names import IndicatorStream, StreamNameError, joined
from services.bot import parameters
from services.bot.parameters import ParameterError
from services.bot.strategies import BUILT_IN
from services.bot.strategy import Strategy

ENTRY_POINTS = "exchange_connector_suite.strategies"
EXAMPLE = "rsi_reversion:binance:BTC/USDT:0.001"
# Names an instance. It can't be a parameter, because it is a Python keyword.
NAME = "as"
# The largest number of open orders of one strategy.
MOST_ORDERS = 20
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,20}")


class StrategyError(Exception):
    """An invalid entry of STRATEGIES; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """One parsed entry of STRATEGIES; `quantity` is in the base asset."""

    strategy: str
    exchange: str
    symbol: str
    quantity: Decimal
    cls: type[Strategy]
    # All parameters, including defaults.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def key(self) -> str:
        """The unique name of the instance, which stays the same after a restart."""
        named = f":{self.label}" if self.label else ""
        return f"{self.strategy}:{self.exchange}:{self.symbol}{named}"

    @property
    def indicators(self) -> tuple[str, ...]:
        """The names of its indicator values, with parameters filled in."""
        return parameters.fill_in(self.cls.indicators, self.parameters)

    @property
    def max_orders(self) -> int:
        """The largest number of its open orders."""
        found: int = self.parameters.get("max_orders", self.cls.max_orders)
        return found

    @property
    def other_markets(self) -> dict[str, tuple[str, str]]:
        """The exchange and the slash symbol of each further market, by its name."""
        names = parameters.fill_in(self.cls.markets, self.parameters)
        return {name: _market(name) for name in names}

    def watches(self, exchange: str, symbol: str) -> bool:
        """Whether this is one of its markets."""
        return (exchange, symbol) in ((self.exchange, self.symbol), *self.other_markets.values())

    @property
    def published_parameters(self) -> dict[str, int | float | str]:
        """Its parameters as they are published and logged."""
        return {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in self.parameters.items()
        }

    @property
    def indicator_streams(self) -> dict[str, str]:
        """The streams of its indicators, by the indicator's name."""
        pair = joined(self.symbol)
        return {name: str(IndicatorStream(name, self.exchange, pair)) for name in self.indicators}


def read(entries: Iterable[str], markets: Mapping[str, Iterable[str]]) -> list[StrategySpec]:
    """Parse all entries. *markets* are the watched slash symbols of each exchange.

    Raises:
        StrategyError: entries are invalid; the message has one line for each.
    """
    faults: list[str] = []
    found: dict[str, StrategySpec] = {}
    for entry in entries:
        try:
            spec = _read(entry, markets)
        except StrategyError as e:
            faults.append(f"{entry!r}: {e}")
            continue
        if spec.key in found:
            faults.append(
                f"{entry!r}: {spec.key} appears twice; expected once, or with a name "
                f"after the quantity, e.g. ?{NAME}=second"
            )
        found[spec.key] = spec
    if faults:
        raise StrategyError("\n".join(faults))
    return list(found.values())


def _read(entry: str, markets: Mapping[str, Iterable[str]]) -> StrategySpec:
    place, _, query = entry.partition("?")
    parts = place.split(":")
    if len(parts) != 4:
        raise StrategyError(
            "expected <strategy>:<exchange>:<SYMBOL>:<quantity>, and perhaps "
            f"?<parameter>=<value>&..., e.g. {EXAMPLE}"
        )
    name, exchange, symbol, number = parts[0], parts[1], parts[2].upper(), parts[3]
    _check_watched(exchange, symbol, markets)
    quantity, cls, given = _quantity(number), _class(name), _given(query)
    label = given.pop(NAME, "")
    try:
        spec = StrategySpec(
            name, exchange, symbol, quantity, cls, parameters.read(cls, given), label
        )
        _ = spec.indicator_streams
        for market in spec.other_markets.values():
            _check_watched(*market, markets)
        _check_orders(spec.max_orders)
    except ParameterError as e:
        raise StrategyError(f"{name}: {e}") from None
    except StreamNameError as e:
        raise StrategyError(f"its indicators: {e}") from None
    return spec


def _check_watched(exchange: str, symbol: str, markets: Mapping[str, Iterable[str]]) -> None:
    if exchange not in markets:
        raise StrategyError(f"no exchange {exchange!r}: expected one of {', '.join(markets)}")
    if symbol not in (watched := tuple(markets[exchange])):
        raise StrategyError(
            f"{symbol!r} isn't watched on {exchange}: expected one of {', '.join(watched)} "
            f"({exchange.upper()}_SYMBOLS says which)"
        )


def _check_orders(most: object) -> None:
    if type(most) is not int or not 1 <= most <= MOST_ORDERS:
        raise ParameterError(
            f"max_orders={most!r}: expected a whole number from 1 to {MOST_ORDERS}"
        )


def _market(name: str) -> tuple[str, str]:
    exchange, _, symbol = name.partition(":")
    if not symbol:
        raise ParameterError(f"market {name!r}: expected <exchange>:<SYMBOL>, e.g. luno:XBT/ZAR")
    return exchange, symbol.upper()


def _given(query: str) -> dict[str, str]:
    """Parse the text after the quantity: `fast=20&slow=50&as=quick`; %2C is a comma."""
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or name in found:
            raise StrategyError(
                f"{pair!r}: expected each parameter once, as <parameter>=<value>, "
                "with & between them"
            )
        found[name] = unquote(value)
    if NAME in found and not _LABEL.fullmatch(found[NAME]):
        raise StrategyError(
            f"{NAME}={found[NAME]!r}: expected a name of 1 to 20 letters, digits, _ or -, "
            "e.g. quick"
        )
    return found


def _quantity(number: str) -> Decimal:
    try:
        quantity = Decimal(number)
    except InvalidOperation:
        quantity = Decimal("NaN")
    if not quantity.is_finite() or quantity <= 0:
        raise StrategyError(f"quantity {number!r}: expected a number greater than 0, e.g. 0.001")
    return quantity


def _class(name: str) -> type[Strategy]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    plugins = {
        found.name: found.value.replace(":", ".") for found in entry_points(group=ENTRY_POINTS)
    }
    if "." not in name and name not in plugins:
        raise StrategyError(
            f"no strategy {name!r}: expected one of {', '.join(sorted({*BUILT_IN, *plugins}))}, "
            "or the dotted path of your own, e.g. my_strategies.dip.BuyTheDip"
        )
    return _loaded(plugins.get(name, name))


def _loaded(path: str) -> type[Strategy]:
    module, _, name = path.rpartition(".")
    try:
        found: object = getattr(import_module(module), name)
    except (ImportError, AttributeError, SyntaxError, ValueError) as e:
        raise StrategyError(
            f"{path!r} can't be loaded: {e}; expected a module that can be imported from here "
            "(PYTHONPATH says where to look), and a class in it"
        ) from e
    if not isinstance(found, type) or not issubclass(found, Strategy):
        raise StrategyError(f"{path!r} is not a strategy: expected a class that inherits Strategy")
    for field_, example in (("indicators", "rsi_14"), ("markets", "luno:XBT/ZAR")):
        names: object = getattr(found, field_)
        if not isinstance(names, tuple) or not all(isinstance(each, str) for each in names):
            raise StrategyError(
                f"{path!r}: {field_} is {names!r}; expected a tuple of names, e.g. ({example!r},)"
            )
    return found
