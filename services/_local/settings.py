"""What the launcher is told, and what it tells its parts."""

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

# Simulated markets trend and range for about a minute each: time enough to trade on.
PHASE = "60"
INDICATORS = ("rsi_14", "sma_20", "sma_50")
# What is looked at here, or chosen where nobody has said it; and whose it is.
CHOSEN = {
    "INDICATORS": "indicators",
    "INDICATOR_PLUGINS": "indicators",
    "STRATEGIES": "bot",
    "BOT_MODE": "bot",
    "SIMULATOR_SEED": "exchange_simulator",
    "SIMULATOR_PHASE": "exchange_simulator",
}
# What the bot trades with, on paper, where these markets are watched.
STRATEGIES = ("rsi_reversion:binance:BTC/USDT:0.001", "sma_crossover:luno:XBT/ZAR:0.001")


def started_exchanges(*, live: bool) -> list[ExchangeManifest]:
    """The exchanges whose connectors are started: with a simulator only those that it has."""
    return [each for each in MANIFESTS.values() if live or each.has_simulator]


@with_fields(SYMBOLS)
class RunSettings(ServiceSettings):
    """From the environment and `suite.toml`: `make run` never reads `.env`.

    Nor does it take from `suite.toml` which Redis is used: that one may hold real orders.
    """

    dotenv: ClassVar[Path | None] = None
    never_in_suite_file: ClassVar[tuple[str, ...]] = ("redis_url", *REAL_MONEY)

    # Stop after so many seconds of being ready; None: run until asked to stop.
    run_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @property
    def markets(self) -> dict[str, tuple[str, ...]]:
        """The slash symbols of each exchange."""
        return watched_symbols(self)

    @property
    def strategies(self) -> str:
        """What the bot does unless STRATEGIES says otherwise."""
        watched = [symbol for symbols in self.markets.values() for symbol in symbols]
        return ",".join(each for each in STRATEGIES if each.split(":")[2] in watched)

    @property
    def own_redis(self) -> bool:
        """True if the caller named no Redis."""
        return "redis_url" not in self.model_fields_set


def usual_indicators(markets: Mapping[str, Sequence[str]], source: str) -> str:
    """The value of INDICATORS where none is set: *source* is `trade` or a timeframe of candles."""
    return ",".join(
        f"{exchange}:{symbol}:{name}@{source}"
        for exchange, symbols in markets.items()
        for symbol in symbols
        for name in INDICATORS
    )


def with_suite_file(given: Mapping[str, str]) -> dict[str, str]:
    """*given*, and where the parts find `suite.toml`; no key is taken from it.

    What else would be chosen here is as it says.
    """
    found = suite_file_of(RunSettings)
    if found is None:
        return dict(given)
    told = {name: found.values(part).get(name.lower(), "") for name, part in CHOSEN.items()}
    return {
        **given,
        **{name: given.get(name) or value for name, value in told.items()},
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
    """What all parts are given: what we were, but for keys and addresses, which are simulated.

    Without a simulator the addresses are the exchanges' own; there are no keys, and the bot only
    observes. *indicators* are computed, and *strategies* decide, where we were given none.
    """
    # Nothing that could reach a real account is handed on.
    real = tuple(beginning.upper() for beginning in REAL_MONEY)
    kept = {name: value for name, value in given.items() if not name.startswith(real)}
    observe = simulator_port is None or given.get("BOT_MODE", "").lower() == "observe"
    return {
        **kept,
        "INDICATORS": given.get("INDICATORS") or indicators,
        "STRATEGIES": given.get("STRATEGIES") or strategies,
        "BOT_MODE": "observe" if observe else "paper",
        # Behind us, where a user's own indicators may lie.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), given.get("PYTHONPATH")))),
        "REDIS_URL": redis_url,
        "HEALTH_HOST": HOST,
        **({} if simulator_port is None else _simulated(given, simulator_port)),
    }


def _simulated(given: Mapping[str, str], port: int) -> dict[str, str]:
    """Where the simulator is, the keys that it takes, and what its markets are like."""
    seed = given.get("SIMULATOR_SEED") or "random"
    return {
        "SIMULATOR_HOST": HOST,
        "SIMULATOR_PORT": str(port),
        # Drawn here, so that a simulator that is started again has the same markets.
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
