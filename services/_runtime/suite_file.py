"""`suite.toml`: the settings of all services in one file.

The name of a setting is that of its variable in lower case. At the top level it applies to every
service that has it; in the table of a service it applies to that service and takes precedence. A
list or a table means the same as the variable's text form.
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from services._runtime.exchanges import MANIFESTS

FILE = Path("suite.toml")
_EXCHANGES = tuple(MANIFESTS.values())
SERVICES = (
    *(each.connector for each in _EXCHANGES),
    *("indicators", "bot", "tradectl", "exchange_simulator"),
)
# Each may be in a file of its own, which `<name>_file` names.
SECRETS = frozenset(
    {
        *(variable.lower() for each in _EXCHANGES for variable in each.credentials),
        *("redis_url", "https_proxy"),
        *("simulator_binance_api_secret", "simulator_luno_api_secret_key"),
    }
)
# Every setting of every service: each reads its own, and detects typing errors in the others'.
NAMES = SECRETS | {
    *(variable.lower() for each in _EXCHANGES for variable in each.variables),
    *("book_audit_interval", "bot_decision_max_age", "bot_indicator_max_age", "bot_mode"),
    *("dead_man_switch", "events_maxlen", "failpoint", "health_host", "health_port"),
    *("health_urls", "indicator_plugins", "indicators", "instance_id", "live_trading"),
    *("log_level", "market_data_maxlen", "no_proxy", "order_book_depth"),
    *("order_book_interval", "order_command_max_age", "order_lease", "order_missed_for"),
    *("order_resolve_margin", "order_settle", "order_take_over_after", "order_validity"),
    *("reconcile_interval", "risk_max_daily_loss", "risk_max_notional", "risk_max_open_orders"),
    *("risk_max_position", "risk_max_quantity", "risk_orders_per_minute"),
    *("risk_orders_per_minute_total", "risk_price_collar", "run_seconds"),
    *("simulator_binance_api_key", "simulator_binance_key_withdraws", "simulator_book_orders"),
    *("simulator_first_id", "simulator_funds", "simulator_host", "simulator_luno_api_key_id"),
    *(
        "simulator_phase",
        "simulator_port",
        "simulator_rate",
        "simulator_seed",
        "simulator_state_file",
    ),
    *("simulator_symbols", "strategies"),
}
# The separator between a name and its value in the text form, if it is not a colon.
_SEPARATORS = {"health_urls": "="}
_WANT_VALUE = "expected a text, a number, true or false, or a list or a table of these"


class SuiteFileError(ValueError):
    """An invalid file; the message has one line for each error."""


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """The content of a file as text values: the `top` level, and the `tables` of services."""

    path: Path
    top: Mapping[str, str]
    tables: Mapping[str, Mapping[str, str]]

    def values(self, service: str) -> dict[str, str]:
        """The settings of *service*, without empty values."""
        both = {**self.top, **self.tables.get(service, {})}
        return {name: value for name, value in both.items() if value}

    @property
    def secrets(self) -> list[str]:
        """The names of its settings that hold secrets, or may hold them."""
        return sorted(SECRETS & {*self.top, *(n for table in self.tables.values() for n in table)})

    def spelled(self, service: str, name: str) -> str:
        """The place of *name* for *service*, e.g. `suite.toml: [bot] name`."""
        table = f"[{service}] " if name in self.tables.get(service, {}) else ""
        return f"{self.path}: {table}{name}"

    def without(self, beginnings: tuple[str, ...]) -> "SuiteFile":
        """A copy without the settings whose names start with one of *beginnings*."""

        def kept(values: Mapping[str, str]) -> dict[str, str]:
            return {n: value for n, value in values.items() if not n.startswith(beginnings)}

        tables = {service: kept(table) for service, table in self.tables.items()}
        return SuiteFile(self.path, kept(self.top), tables)

    def check(self, service: str, own: Collection[str]) -> None:
        """Check that all names at the top and in the table of *service* exist; *own*: its settings.

        Raises:
            SuiteFileError: a name is unknown.
        """
        faults = [
            f"{self.path}: {name}: no setting has this name; {_wanted(name, _known(NAMES))}"
            for name in self.top
            if name not in _known(NAMES)
        ]
        faults += [
            f"{self.path}: [{service}] {name}: {service} has no such setting; "
            f"{_wanted(name, _known(own))}"
            for name in self.tables.get(service, {})
            if name not in _known(own)
        ]
        if faults:
            raise SuiteFileError("\n".join(faults))


def read(path: Path) -> SuiteFile:
    """Read a file, without checking the names of the settings.

    Raises:
        OSError: the file can't be read.
        SuiteFileError: the file is not TOML, or a value has an invalid type.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        found = tomllib.loads(text, parse_float=str)  # as written: 0.10 stays "0.10"
    except UnicodeDecodeError:
        raise SuiteFileError(f"{path}: not valid UTF-8; expected a TOML file") from None
    except tomllib.TOMLDecodeError as e:
        raise SuiteFileError(f"{path}: not valid TOML: {e}") from None
    tables = {name: value for name, value in found.items() if _is_table_of_a_service(name, value)}
    top = {name: value for name, value in found.items() if name not in tables}
    for name, value in top.items():
        if isinstance(value, dict) and name not in NAMES:
            wanted = _wanted(name, [*SERVICES, *NAMES])
            raise SuiteFileError(f"{path}: [{name}]: no service has this name; {wanted}")
    return SuiteFile(
        path,
        {name: _text(f"{path}: {name}", name, value) for name, value in top.items()},
        {
            service: {
                name: _text(f"{path}: [{service}] {name}", name, value)
                for name, value in table.items()
            }
            for service, table in tables.items()
        },
    )


def _is_table_of_a_service(name: str, value: object) -> bool:
    """`indicators` is a service and a setting: a list or a text is the setting."""
    return name in SERVICES and isinstance(value, dict)


def _known(names: Collection[str]) -> set[str]:
    return {*names, *(f"{name}_file" for name in names if name in SECRETS)}


def _wanted(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower(), sorted(known), n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"expected a name of .env.example in lower case, or a table: {', '.join(SERVICES)}"


def _text(where: str, name: str, value: object) -> str:
    """A value in the text form of its variable: `["a", "b"]` is a,b and `{USDT = 5}` is USDT:5."""
    if isinstance(value, list):
        return ",".join(_scalar(where, each) for each in value)
    if isinstance(value, dict):
        separator = _SEPARATORS.get(name, ":")
        pairs = ((key, _scalar(where, each)) for key, each in value.items())
        return ",".join(f"{key}{separator}{each}" for key, each in pairs)
    return _scalar(where, value)


def _scalar(where: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    raise SuiteFileError(f"{where} = {value}: {_WANT_VALUE}")
