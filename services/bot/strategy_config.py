"""Reads STRATEGIES: which strategies work on which markets, and how much they trade.

    <strategy>:<exchange>:<SYMBOL>:<quantity>        rsi_reversion:binance:BTC/USDT:0.001
    …?<parameter>=<value>&as=<name>                  …:0.001?oversold=25&as=careful

The strategy is one of ours, an installed package's entry point, or the dotted path of a class.
`as` tells two instances of one strategy on one market apart. What is kept of an instance is kept
under its name, whatever its parameters and its quantity are: those may be changed.
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
# Names an instance; no parameter can be called so, it is a word of Python's own.
NAME = "as"
# So many orders of one strategy may be open at once.
MOST_ORDERS = 20
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,20}")


class StrategyError(Exception):
    """An entry of STRATEGIES that can't be used; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """One entry, understood."""

    strategy: str
    exchange: str
    symbol: str
    quantity: Decimal
    cls: type[Strategy]
    # All of its parameters, also those that weren't given.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def key(self) -> str:
        """What tells it from the others, today and after a restart: its name everywhere."""
        named = f":{self.label}" if self.label else ""
        return f"{self.strategy}:{self.exchange}:{self.symbol}{named}"

    @property
    def indicators(self) -> tuple[str, ...]:
        """The names of the values that it wants, with its parameters in them."""
        return parameters.fill_in(self.cls.indicators, self.parameters)

    @property
    def max_orders(self) -> int:
        """How many of its orders may be open at once."""
        found: int = self.parameters.get("max_orders", self.cls.max_orders)
        return found

    @property
    def other_markets(self) -> dict[str, tuple[str, str]]:
        """The exchange and the slash symbol of each market beside its own, by the name it has."""
        names = parameters.fill_in(self.cls.markets, self.parameters)
        return {name: _market(name) for name in names}

    def watches(self, exchange: str, symbol: str) -> bool:
        """Whether this is one of its markets."""
        return (exchange, symbol) in ((self.exchange, self.symbol), *self.other_markets.values())

    @property
    def published_parameters(self) -> dict[str, int | float | str]:
        """Its parameters as messages and the log tell them."""
        return {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in self.parameters.items()
        }

    @property
    def indicator_streams(self) -> dict[str, str]:
        """The streams that it wants to hear, by the indicator's name."""
        pair = joined(self.symbol)
        return {name: str(IndicatorStream(name, self.exchange, pair)) for name in self.indicators}


def read(entries: Iterable[str], markets: Mapping[str, Iterable[str]]) -> list[StrategySpec]:
    """All entries. *markets* are the slash symbols that are watched of each exchange.

    Raises:
        StrategyError: entries can't be used; one line of the message for each.
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
                f"{entry!r}: {spec.key} stands there twice; want it once, or a name of its own "
                f"behind the quantity, e.g. ?{NAME}=second"
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
            "want <strategy>:<exchange>:<SYMBOL>:<quantity>, and perhaps "
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
        raise StrategyError(f"no exchange {exchange!r}: want one of {', '.join(markets)}")
    if symbol not in (watched := tuple(markets[exchange])):
        raise StrategyError(
            f"{symbol!r} isn't watched on {exchange}: want one of {', '.join(watched)} "
            f"({exchange.upper()}_SYMBOLS says which)"
        )


def _check_orders(most: object) -> None:
    if type(most) is not int or not 1 <= most <= MOST_ORDERS:
        raise ParameterError(f"max_orders={most!r}: want a whole number from 1 to {MOST_ORDERS}")


def _market(name: str) -> tuple[str, str]:
    exchange, _, symbol = name.partition(":")
    if not symbol:
        raise ParameterError(f"market {name!r}: want <exchange>:<SYMBOL>, e.g. luno:XBT/ZAR")
    return exchange, symbol.upper()


def _given(query: str) -> dict[str, str]:
    """What stands behind the quantity: `fast=20&slow=50&as=quick`; %2C is a comma."""
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or name in found:
            raise StrategyError(
                f"{pair!r}: want each parameter once, as <parameter>=<value>, with & between them"
            )
        found[name] = unquote(value)
    if NAME in found and not _LABEL.fullmatch(found[NAME]):
        raise StrategyError(
            f"{NAME}={found[NAME]!r}: want a name of 1 to 20 letters, digits, _ or -, e.g. quick"
        )
    return found


def _quantity(number: str) -> Decimal:
    try:
        quantity = Decimal(number)
    except InvalidOperation:
        quantity = Decimal("NaN")
    if not quantity.is_finite() or quantity <= 0:
        raise StrategyError(f"quantity {number!r}: want a number greater than 0, e.g. 0.001")
    return quantity


def _class(name: str) -> type[Strategy]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    plugins = {
        found.name: found.value.replace(":", ".") for found in entry_points(group=ENTRY_POINTS)
    }
    if "." not in name and name not in plugins:
        raise StrategyError(
            f"no strategy {name!r}: want one of {', '.join(sorted({*BUILT_IN, *plugins}))}, "
            "or the dotted path of your own, e.g. my_strategies.dip.BuyTheDip"
        )
    return _loaded(plugins.get(name, name))


def _loaded(path: str) -> type[Strategy]:
    module, _, name = path.rpartition(".")
    try:
        found: object = getattr(import_module(module), name)
    except (ImportError, AttributeError, SyntaxError, ValueError) as e:
        raise StrategyError(
            f"{path!r} can't be loaded: {e}; want a module that can be imported from here "
            "(PYTHONPATH says where to look), and a class in it"
        ) from e
    if not isinstance(found, type) or not issubclass(found, Strategy):
        raise StrategyError(f"{path!r} is no strategy: want a class that inherits Strategy")
    for field_, example in (("indicators", "rsi_14"), ("markets", "luno:XBT/ZAR")):
        names: object = getattr(found, field_)
        if not isinstance(names, tuple) or not all(isinstance(each, str) for each in names):
            raise StrategyError(
                f"{path!r}: {field_} is {names!r}; want a tuple of names, e.g. ({example!r},)"
            )
    return found
