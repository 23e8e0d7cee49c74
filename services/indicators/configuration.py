"""Reads INDICATORS: the indicators, their markets, and their sources.

    <exchange>:<SYMBOL>:<name>[@<source>]        binance:BTC/USDT:rsi_14@1m

The name is made of a plugin's name, its numbers, and an optional suffix that makes it unique; it is
the name of the stream. The source is `trade`, `ticker`, or candles of a timeframe.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from common_models.stream_names import IndicatorStream, MarketDataType, MarketStream, joined
from services.indicators.candles import parse_timeframe
from services.indicators.plugins import (
    Indicator,
    Plugin,
    PluginError,
    Plugins,
    form,
    parameters,
    where,
)

DEFAULT_SOURCE = "1m"
_NUMBER = re.compile(r"\d+(\.\d+)?")
# The contract's `ema_20_close` says that it is made of closes. These suffixes would be wrong.
_OTHER_PRICES = frozenset({"open", "high", "low", "volume"})


class ConfigurationError(Exception):
    """An invalid entry of INDICATORS; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Source:
    """The input of an indicator: each `trade`, each `ticker`, or candles of one length."""

    text: str
    timeframe: timedelta | None

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Parse `trade`, `ticker`, or a timeframe.

        Raises:
            ValueError: it is not one of them.
        """
        if text in ("trade", "ticker"):
            return cls(text, None)
        try:
            return cls(text, parse_timeframe(text))
        except ValueError as e:
            raise ValueError(f"source {e}; or trade, or ticker") from None


@dataclass(frozen=True, slots=True)
class IndicatorSpec:
    """One parsed entry of INDICATORS, with a name and a stream for each output of its plugin."""

    exchange: str
    symbol: str
    names: tuple[str, ...]
    streams: tuple[str, ...]
    plugin: Plugin
    numbers: tuple[float, ...]
    source: Source

    def make(self) -> Indicator:
        """A new indicator without candles."""
        return self.plugin(*self.numbers)

    @property
    def market_stream(self) -> MarketStream:
        """The market stream that it reads."""
        data_type: MarketDataType = "ticker" if self.source.text == "ticker" else "trades"
        return MarketStream.of(self.exchange, self.symbol, data_type)


def read(
    entries: Iterable[str], plugins: Plugins, markets: Mapping[str, Iterable[str]]
) -> list[IndicatorSpec]:
    """Parse all entries. *markets* are the watched slash symbols of each exchange.

    Raises:
        ConfigurationError: entries are invalid; the message has one line for each.
    """
    faults, found = [], []
    taken: dict[str, str] = {}
    for entry in entries:
        try:
            spec = _read(entry, plugins, markets)
        except ConfigurationError as e:
            faults.append(f"{entry!r}: {e}")
            continue
        for stream in spec.streams:
            if stream in taken:
                faults.append(
                    f"{entry!r} and {taken[stream]!r} would both publish to {stream}; expected "
                    "a suffix that makes them differ, e.g. rsi_14_5m@5m"
                )
            taken[stream] = entry
        found.append(spec)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return found


def _read(entry: str, plugins: Plugins, markets: Mapping[str, Iterable[str]]) -> IndicatorSpec:
    head, _, source = entry.partition("@")
    parts = head.split(":")
    if len(parts) != 3 or ("@" in entry and not source):
        raise ConfigurationError(
            "expected <exchange>:<SYMBOL>:<name>[@<source>], e.g. binance:BTC/USDT:rsi_14@1m"
        )
    exchange, symbol, name = parts[0], parts[1].upper(), parts[2]
    if exchange not in markets:
        raise ConfigurationError(f"no exchange {exchange!r}: expected one of {', '.join(markets)}")
    if symbol not in (watched := tuple(markets[exchange])):
        raise ConfigurationError(
            f"{symbol!r} isn't watched on {exchange}: expected one of {', '.join(watched)} "
            f"({exchange.upper()}_SYMBOLS says which)"
        )
    plugin, numbers = _understood(name, plugins)
    names = tuple(f"{name}_{output}" if output else name for output in plugin.outputs)
    try:
        streams = tuple(str(IndicatorStream(each, exchange, joined(symbol))) for each in names)
        made_from = Source.parse(source or DEFAULT_SOURCE)
        memory = plugin(*numbers).memory
    except ValueError as e:  # a StreamNameError is one
        raise ConfigurationError(str(e)) from None
    if memory < 1:
        raise ConfigurationError(f"{where(plugin)}: memory is {memory}; expected 1 or more candles")
    return IndicatorSpec(exchange, symbol, names, streams, plugin, numbers, made_from)


def _understood(name: str, plugins: Plugins) -> tuple[Plugin, tuple[float, ...]]:
    """The plugin whose name the stream's name starts with, and the numbers after it."""
    words = name.split("_")
    for length in range(len(words), 0, -1):
        key = "_".join(words[:length])
        if key in plugins.names:
            break
    else:
        raise ConfigurationError(
            f"no indicator {name!r}: expected one of {', '.join(plugins.forms)}, "
            "or the dotted path of your own in INDICATOR_PLUGINS"
        )
    try:
        plugin = plugins.get(key)
        parameter_types = parameters(plugin)
    except PluginError as e:
        raise ConfigurationError(str(e)) from None
    numbers: list[float] = []
    for word in words[length:]:
        if not _NUMBER.fullmatch(word):
            break
        numbers.append(float(word))
    if len(numbers) != len(parameter_types):
        raise ConfigurationError(f"{name!r} has {len(numbers)} numbers: expected {form(plugin)}")
    for (parameter, kind), number in zip(parameter_types.items(), numbers, strict=True):
        if kind is int and not number.is_integer():
            raise ConfigurationError(f"{name!r}: {parameter} {number:g}: expected a whole number")
    suffix = words[length + len(numbers) :]
    if suffix and suffix[0] in _OTHER_PRICES:
        raise ConfigurationError(
            f"{name!r} would claim to be made of {suffix[0]}; expected another suffix: "
            "indicators are made of closes"
        )
    kinds = parameter_types.values()
    return plugin, tuple(kind(number) for kind, number in zip(kinds, numbers, strict=True))
