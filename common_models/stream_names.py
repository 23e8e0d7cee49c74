"""The only place that spells a stream's name.

A name is built from its parts with `str()`, and `parse()` gives the parts back:

    str(MarketStream("binance", "BTCUSDT", "ticker")) == "binance:BTCUSDT:ticker"
    parse("binance:BTCUSDT:ticker") == MarketStream("binance", "BTCUSDT", "ticker")
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

MarketDataType = Literal["ticker", "orderbook", "trades"]
MARKET_DATA_TYPES: tuple[MarketDataType, ...] = get_args(MarketDataType)

_WORD = re.compile(r"[a-z][a-z0-9_]*")
_INDICATOR = re.compile(r"[A-Za-z0-9_.-]+")
_OWN_WORDS = frozenset(
    {"indicators", "commands", "operator", "events", "dead_letter", "state", "control"}
)


class StreamNameError(ValueError):
    """A name, or a part of one, that does not have the contract's form."""


def joined(symbol: str) -> str:
    """The joined form of a slash symbol, as it stands in stream names: "BTC/USDT" -> "BTCUSDT"."""
    return symbol.replace("/", "").upper()


def connector(exchange: str) -> str:
    """The service name that an exchange's connector uses in its streams: "binance_connector"."""
    return f"{_word(exchange)}_connector"


def _word(part: str) -> str:
    if not _WORD.fullmatch(part) or part in _OWN_WORDS:
        raise StreamNameError(
            f"{part!r} in a stream name: expected lower snake case, e.g. 'binance'"
        )
    return part


def _pair(part: str) -> str:
    # Letters and digits of any script: exchanges list symbols that are not Latin.
    if not part.isalnum() or part != part.upper():
        raise StreamNameError(
            f"{part!r} in a stream name: expected the joined form, e.g. 'BTCUSDT'"
        )
    return part


@dataclass(frozen=True, slots=True)
class MarketStream:
    """`<exchange>:<PAIR>:<data_type>`."""

    exchange: str
    pair: str
    data_type: MarketDataType

    def __post_init__(self) -> None:
        _word(self.exchange)
        _pair(self.pair)
        if self.data_type not in MARKET_DATA_TYPES:
            raise StreamNameError(
                f"{self.data_type!r} in a stream name: "
                f"expected one of {', '.join(MARKET_DATA_TYPES)}"
            )

    @classmethod
    def of(cls, exchange: str, symbol: str, data_type: MarketDataType) -> "MarketStream":
        """The stream of a slash symbol ("BTC/USDT")."""
        return cls(exchange, joined(symbol), data_type)

    def __str__(self) -> str:
        return f"{self.exchange}:{self.pair}:{self.data_type}"


@dataclass(frozen=True, slots=True)
class CommandStream:
    """`<connector>:commands:<command_name>`."""

    connector: str
    command: str

    def __post_init__(self) -> None:
        _word(self.connector)
        _word(self.command)

    def __str__(self) -> str:
        return f"{self.connector}:commands:{self.command}"


@dataclass(frozen=True, slots=True)
class OperatorStream:
    """`<connector>:operator:<command_name>`: an operator's commands, which are served first.

    On a Redis with an access list no bot can write to it.
    """

    connector: str
    command: str

    def __post_init__(self) -> None:
        _word(self.connector)
        _word(self.command)

    def __str__(self) -> str:
        return f"{self.connector}:operator:{self.command}"


@dataclass(frozen=True, slots=True)
class EventStream:
    """`<service>:events:<event_name>`: a connector's, or the bot's own."""

    service: str
    event: str

    def __post_init__(self) -> None:
        _word(self.service)
        _word(self.event)

    def __str__(self) -> str:
        return f"{self.service}:events:{self.event}"


@dataclass(frozen=True, slots=True)
class DeadLetterStream:
    """`<connector>:dead_letter:<command_name>`: commands that can't be read."""

    connector: str
    command: str

    def __post_init__(self) -> None:
        _word(self.connector)
        _word(self.command)

    def __str__(self) -> str:
        return f"{self.connector}:dead_letter:{self.command}"


@dataclass(frozen=True, slots=True)
class IndicatorStream:
    """`indicators:<indicator_full_name>:<exchange>:<PAIR>`."""

    indicator: str
    exchange: str
    pair: str

    def __post_init__(self) -> None:
        if not _INDICATOR.fullmatch(self.indicator):
            raise StreamNameError(
                f"{self.indicator!r} in a stream name: expected an indicator's name, e.g. 'rsi_14'"
            )
        _word(self.exchange)
        _pair(self.pair)

    def __str__(self) -> str:
        return f"indicators:{self.indicator}:{self.exchange}:{self.pair}"


StreamName = (
    MarketStream | CommandStream | OperatorStream | EventStream | DeadLetterStream | IndicatorStream
)

_BY_MIDDLE_WORD: dict[
    str, type[CommandStream | OperatorStream | EventStream | DeadLetterStream]
] = {
    "commands": CommandStream,
    "operator": OperatorStream,
    "events": EventStream,
    "dead_letter": DeadLetterStream,
}


def parse(name: str) -> StreamName:
    """The parts that made a stream's name.

    Raises:
        StreamNameError: the name is not of the contract's form.
    """
    match name.split(":"):
        case ["indicators", indicator, exchange, pair]:
            return IndicatorStream(indicator, exchange, pair)
        case [service, ("commands" | "operator" | "events" | "dead_letter") as middle, last]:
            return _BY_MIDDLE_WORD[middle](service, last)
        case [exchange, pair, ("ticker" | "orderbook" | "trades") as data_type]:
            return MarketStream(exchange, pair, data_type)
        case _:
            raise StreamNameError(
                f"{name!r} is not one of our stream names; expected e.g. 'binance:BTCUSDT:ticker'"
            )


# State keys and switches: not streams, but named here for the same reason.
# Orders are sent only while TRADING (who allowed it, and when) is set and HALT (why not) is not.
TRADING = "control:trading"
HALT = "control:halt"
# The bot's last heartbeat, by Redis's clock in milliseconds; set while it may send orders.
BOT_HEARTBEAT = "bot:state:heartbeat"
# The prefix of the bot's client order ids.
BOT_ORDERS = "bot-"
# Takes the place of a stream in `caused_by`, for a strategy's timer: `timer <milliseconds>-0`.
TIMER = "timer"


def state_key(service: str, what: str) -> str:
    """`<service>:state:<what>`: a key for a service's own state in Redis."""
    return f"{_word(service)}:state:{what}"


# A hash: an `IndicatorProgress` by the indicator's stream.
INDICATOR_PROGRESS = state_key("indicator_host", "progress")
