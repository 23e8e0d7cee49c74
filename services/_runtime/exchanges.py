"""The exchange registry: which exchanges there are, and what the suite knows about each.

Each exchange has a connector in `services/<name>_connector/`. The file `exchange.toml` in that
folder is its manifest. Settings, the launcher, the access list and the command line read manifests
here; tests/unit/test_exchange_files.py compares the compose files, `.env.example`, the Prometheus
configuration and the import contracts with them.

The module imports the standard library only: `make secrets` runs without our packages.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

# A new exchange is added here; its connector's folder must hold a manifest.
EXCHANGES = ("binance", "luno")

SERVICES = Path(__file__).parents[1]
MANIFEST = "exchange.toml"
_SIMULATED_SCHEMES = {"https": "http", "wss": "ws"}


class ManifestError(Exception):
    """A manifest that is missing or malformed; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class ExchangeUrl:
    """One URL of an exchange, and the variable that replaces it.

    `live`: of the real exchange, `https` or `wss`. `simulator`: the path of the same interface on
    the exchange simulator; None if the simulator doesn't have it.
    """

    variable: str
    live: str
    simulator: str | None = None

    def simulated(self, address: str) -> str:
        """The URL on a simulator at *address* (`host:port`).

        Raises:
            ValueError: the simulator doesn't have this interface.
        """
        if self.simulator is None:
            raise ValueError(f"{self.variable}: the simulator has no such interface")
        return f"{_SIMULATED_SCHEMES[urlsplit(self.live).scheme]}://{address}{self.simulator}"


@dataclass(frozen=True, slots=True)
class ExchangeManifest:
    """One exchange, as `exchange.toml` describes it.

    Fields:
        name: in stream names and commands, lower case: "binance".
        title: as people write it: "Binance".
        health_port: where the connector answers /health, /ready and /metrics.
        symbols: the default of `<NAME>_SYMBOLS`, in the slash form.
        credentials: the variables of the API key, `<NAME>_API_...`; all are set, or none.
        settings: further variables that only this connector reads.
        consecutive_trade_ids: a market's trade ids have no holes, so a jump is a lost trade.
        highest_fee: the largest share of a fill that a new customer pays.
        longest_order_validity: the most seconds for which the exchange keeps a signed order valid.
        sdk: the Python package that only the connector's `client.py` imports; "" if there is none.
        urls: each URL of the exchange.
    """

    name: str
    title: str
    health_port: int
    symbols: tuple[str, ...]
    credentials: tuple[str, ...]
    settings: tuple[str, ...]
    consecutive_trade_ids: bool
    highest_fee: Decimal
    longest_order_validity: int
    sdk: str
    urls: tuple[ExchangeUrl, ...]

    @property
    def connector(self) -> str:
        """The connector's service name, folder and Prometheus job: "binance_connector"."""
        return f"{self.name}_connector"

    @property
    def symbols_variable(self) -> str:
        """The variable that lists the symbols: "BINANCE_SYMBOLS"."""
        return f"{self.name.upper()}_SYMBOLS"

    @property
    def port_variable(self) -> str:
        """The variable of the port that compose publishes: "BINANCE_PORT"."""
        return f"{self.name.upper()}_PORT"

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that only this exchange has."""
        urls = (url.variable for url in self.urls)
        return (self.symbols_variable, *self.credentials, *self.settings, *urls)

    @property
    def has_simulator(self) -> bool:
        """True if the exchange simulator has every interface that the connector needs."""
        return all(url.simulator is not None for url in self.urls)

    def live_url(self, variable: str) -> str:
        """The real exchange's URL, which is the default of *variable*.

        Raises:
            KeyError: the manifest has no such URL.
        """
        return {url.variable: url.live for url in self.urls}[variable]


def read_manifest(name: str, folder: Path) -> ExchangeManifest:
    """The manifest in a connector's *folder*.

    Raises:
        ManifestError: it is missing, or isn't a manifest.
    """
    path = folder / MANIFEST
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        manifest = _manifest(name, found)
    except FileNotFoundError:
        raise ManifestError(f"{path}: there is no such file; {name} needs a manifest") from None
    except (ArithmeticError, TypeError, ValueError) as e:
        raise ManifestError(f"{path}: {e}") from None
    for variable in manifest.variables:
        beginning = f"{name}_api_" if variable in manifest.credentials else f"{name}_"
        if not variable.startswith(beginning.upper()):
            raise ManifestError(f"{path}: {variable} must begin with {beginning.upper()}")
    return manifest


def _manifest(name: str, found: Mapping[str, Any]) -> ExchangeManifest:
    wanted = {each.name for each in fields(ExchangeManifest)} - {"name"}
    if found.keys() != wanted:
        missing, unknown = sorted(wanted - found.keys()), sorted(found.keys() - wanted)
        raise ValueError(f"missing names: {missing}; unknown names: {unknown}")
    return ExchangeManifest(
        name=name,
        title=_typed(str, "title", found),
        health_port=_typed(int, "health_port", found),
        symbols=_texts("symbols", found),
        credentials=_texts("credentials", found),
        settings=_texts("settings", found),
        consecutive_trade_ids=_typed(bool, "consecutive_trade_ids", found),
        highest_fee=Decimal(_typed(str, "highest_fee", found)),
        longest_order_validity=_typed(int, "longest_order_validity", found),
        sdk=_typed(str, "sdk", found),
        urls=tuple(
            ExchangeUrl(variable, **url) for variable, url in _typed(dict, "urls", found).items()
        ),
    )


def _typed(kind: type[T], name: str, found: Mapping[str, Any]) -> T:
    value = found[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of type {kind.__name__}, not {value!r}")
    return value


def _texts(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    values: list[Any] = _typed(list, name, found)
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} must be a list of texts, not {values!r}")
    return tuple(values)


# By name, in the order of `EXCHANGES`.
MANIFESTS: Mapping[str, ExchangeManifest] = MappingProxyType(
    {name: read_manifest(name, SERVICES / f"{name}_connector") for name in EXCHANGES}
)
