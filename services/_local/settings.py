"""The settings of the launcher, and the environment of the processes that it starts."""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from services._runtime.exchange_settings import SYMBOLS, watched_symbols, with_fields
from services._runtime.exchanges import MANIFESTS, ExchangeManifest
from services._runtime.settings import REAL_MONEY, ServiceSettings, suite_file_of

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
KEY, SECRET = "simulator-key", "simulator-secret"

# In seconds: simulated markets trend and range for about a minute each, long enough for trades.
PHASE = "60"
INDICATORS = ("rsi_14", "sma_20", "sma_50")
# The settings that the launcher reads or chooses a default for, and the service of each.
CHOSEN = {
    "INDICATORS": "indicators",
    "INDICATOR_PLUGINS": "indicators",
    "STRATEGIES": "bot",
    "BOT_MODE": "bot",
    "SIMULATOR_SEED": "exchange_simulator",
    "SIMULATOR_PHASE": "exchange_simulator",
}
# The default strategies, with simulated money, for those of these markets that are watched.
STRATEGIES = ("rsi_reversion:binance:BTC/USDT:0.001", "sma_crossover:luno:XBT/ZAR:0.001")


def started_exchanges(*, live: bool) -> list[ExchangeManifest]:
    """The exchanges whose connectors are started; with a simulator, only those that it has."""
    return [each for each in MANIFESTS.values() if live or each.has_simulator]


@with_fields(SYMBOLS)
class RunSettings(ServiceSettings):
    """Read from the environment and `suite.toml`; `make run` never reads `.env`.

    It ignores the Redis URL in `suite.toml`, because that Redis may hold real orders.
    """

    dotenv: ClassVar[Path | None] = None
    never_in_suite_file: ClassVar[tuple[str, ...]] = ("redis_url", *REAL_MONEY)

    # Stop this many seconds after the start; None: run until a signal.
    run_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @property
    def markets(self) -> dict[str, tuple[str, ...]]:
        """The slash symbols of each exchange."""
        return watched_symbols(self)

    @property
    def strategies(self) -> str:
        """The default of STRATEGIES."""
        watched = [symbol for symbols in self.markets.values() for symbol in symbols]
        return ",".join(each for each in STRATEGIES if each.split(":")[2] in watched)

    @property
    def own_redis(self) -> bool:
        """Whether the launcher starts a Redis: the user named none."""
        return "redis_url" not in self.model_fields_set


def usual_indicators(markets: Mapping[str, Sequence[str]], source: str) -> str:
    """The default of INDICATORS; *source*: `trade`, or a timeframe of candles."""
    return ",".join(
        f"{exchange}:{symbol}:{name}@{source}"
        for exchange, symbols in markets.items()
        for symbol in symbols
        for name in INDICATORS
    )


def with_suite_file(given: Mapping[str, str]) -> dict[str, str]:
    """*given*, with the path of `suite.toml` and its values of the settings in `CHOSEN`.

    API keys in the file are ignored.
    """
    found = suite_file_of(RunSettings)
    if found is None:
        return dict(given)
    chosen = {name: found.values(part).get(name.lower(), "") for name, part in CHOSEN.items()}
    return {
        **given,
        **{name: given.get(name) or value for name, value in chosen.items()},
        "SUITE_TOML": str(found.path.absolute()),
        "SUITE_TOML_KEYS": "no",
    }


def environment(
    given: Mapping[str, str],
    redis_url: str,
    simulator_port: int | None,
    indicators: str,
    strategies: str = "",
) -> dict[str, str]:
    """The environment of all processes: *given*, with simulated keys and addresses.

    Without a simulator the addresses are the exchanges' own, there are no keys, and the bot only
    observes. *indicators* and *strategies* are the defaults of INDICATORS and STRATEGIES.
    """
    # No setting that could reach a real account is passed on.
    real = tuple(beginning.upper() for beginning in REAL_MONEY)
    kept = {name: value for name, value in given.items() if not name.startswith(real)}
    observe = simulator_port is None or given.get("BOT_MODE", "").lower() == "observe"
    return {
        **kept,
        "INDICATORS": given.get("INDICATORS") or indicators,
        "STRATEGIES": given.get("STRATEGIES") or strategies,
        "BOT_MODE": "observe" if observe else "paper",
        # After this project: the user's own indicators may be there.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), given.get("PYTHONPATH")))),
        "REDIS_URL": redis_url,
        "HEALTH_HOST": HOST,
        **({} if simulator_port is None else _simulated(given, simulator_port)),
    }


def _simulated(given: Mapping[str, str], port: int) -> dict[str, str]:
    """The simulator's address, API keys and markets."""
    seed = given.get("SIMULATOR_SEED") or "random"
    return {
        "SIMULATOR_HOST": HOST,
        "SIMULATOR_PORT": str(port),
        # Chosen here, so that a restarted simulator has the same markets.
        "SIMULATOR_SEED": str(secrets.randbelow(1_000_000)) if seed == "random" else seed,
        "SIMULATOR_PHASE": given.get("SIMULATOR_PHASE") or PHASE,
        **{
            variable: value
            for each in started_exchanges(live=False)
            for variable, value in _on_simulator(each, f"{HOST}:{port}").items()
        },
    }


def _on_simulator(exchange: ExchangeManifest, address: str) -> dict[str, str]:
    """An exchange's URLs on the simulator at *address*, and its key for connector and simulator."""
    first, *others = exchange.credentials
    key = {first: KEY, **dict.fromkeys(others, SECRET)}
    return {
        **{url.variable: url.simulated(address) for url in exchange.urls},
        **key,
        **{f"SIMULATOR_{variable}": value for variable, value in key.items()},
    }
