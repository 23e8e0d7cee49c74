"""What the launcher hands on: everything, but nothing that could reach a real account."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._local.settings import (
    RunSettings,
    environment,
    started_exchanges,
    usual_indicators,
    with_suite_file,
)
from services._runtime.exchanges import MANIFESTS, ExchangeUrl
from services._runtime.settings import SettingsError, load

REDIS = "redis://127.0.0.1:6400/0"
KEYS = ("BINANCE_API_KEY", "BINANCE_API_SECRET", "LUNO_API_KEY_ID", "LUNO_API_SECRET_KEY")


def test_real_keys_and_the_live_switch_are_not_handed_on() -> None:
    """Neither as values nor as files."""
    real = {name: "real" for key in KEYS for name in (key, f"{key}_FILE")}
    handed = environment({**real, "LIVE_TRADING": "yes-i-mean-it"}, REDIS, 8900, "")
    assert "real" not in handed.values()
    assert "LIVE_TRADING" not in handed
    assert not [name for name in handed if name.endswith("_FILE")]
    assert {handed[key] for key in KEYS} == {"simulator-key", "simulator-secret"}


def test_every_address_is_the_simulators() -> None:
    """Real addresses in the environment are replaced."""
    names = [f"{venue}_{what}_URL" for venue in ("BINANCE", "LUNO") for what in ("REST", "STREAM")]
    names.append("BINANCE_WS_API_URL")
    handed = environment(dict.fromkeys(names, "https://real.example"), REDIS, 8905, "")
    assert {name: handed[name] for name in names} == {
        "BINANCE_REST_URL": "http://127.0.0.1:8905/api",
        "BINANCE_STREAM_URL": "ws://127.0.0.1:8905",
        "BINANCE_WS_API_URL": "ws://127.0.0.1:8905/ws-api/v3",
        "LUNO_REST_URL": "http://127.0.0.1:8905",
        "LUNO_STREAM_URL": "ws://127.0.0.1:8905",
    }
    assert handed["REDIS_URL"] == REDIS
    assert handed["SIMULATOR_PORT"] == "8905"


def test_on_real_markets_there_are_no_keys_and_the_bot_only_observes() -> None:
    """The addresses stay as they were given, or the exchanges' own."""
    given = dict.fromkeys((*KEYS, "LIVE_TRADING", "BINANCE_REST_URL"), "real")
    handed = environment({**given, "BOT_MODE": "live"}, REDIS, None, "", "x")
    assert {*KEYS, "LIVE_TRADING"}.isdisjoint(handed)
    assert handed["BINANCE_REST_URL"] == "real"
    assert not [name for name in handed if name.startswith("SIMULATOR")]
    assert (handed["BOT_MODE"], handed["STRATEGIES"]) == ("observe", "x")


@given(st.dictionaries(st.sampled_from(["MARKET_DATA_MAXLEN", "PATH", "LOG_LEVEL"]), st.text()))
def test_everything_else_is_passed_through(given_variables: dict[str, str]) -> None:
    """MARKET_DATA_MAXLEN=… make run works, and so does any other variable."""
    handed = environment(given_variables, REDIS, 8900, "")
    assert given_variables.items() <= handed.items()


def test_each_watched_symbol_has_indicators_unless_others_are_named() -> None:
    """Of each trade, or of candles."""
    markets = {"binance": ("BTC/USDT",), "luno": ("XBT/ZAR",)}
    usual = usual_indicators(markets, "1s")
    assert "binance:BTC/USDT:rsi_14@1s" in usual.split(",")
    assert "luno:XBT/ZAR:sma_50@trade" in usual_indicators(markets, "trade").split(",")
    assert environment({"INDICATORS": ""}, REDIS, 8900, usual)["INDICATORS"] == usual
    other = {"INDICATORS": "luno:XBT/ZAR:rsi_14"}
    assert environment(other, REDIS, 8900, usual)["INDICATORS"] == "luno:XBT/ZAR:rsi_14"


def test_on_real_markets_every_exchange_is_started_else_those_that_the_simulator_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connector that would reach its real exchange isn't started beside the simulator."""
    url = ExchangeUrl("NOWHERE_REST_URL", "https://api.nowhere.example")
    nowhere = replace(MANIFESTS["luno"], name="nowhere", urls=(url,))
    exchanges = {"binance": MANIFESTS["binance"], "nowhere": nowhere}
    monkeypatch.setattr("services._local.settings.MANIFESTS", exchanges)
    assert [each.name for each in started_exchanges(live=True)] == ["binance", "nowhere"]
    assert [each.name for each in started_exchanges(live=False)] == ["binance"]
    assert "NOWHERE_REST_URL" not in environment({}, REDIS, 8900, "")


def test_each_run_has_other_markets_unless_a_seed_is_given() -> None:
    """They trend and range, unless they are told not to."""
    drawn = {environment({}, REDIS, 8900, "")["SIMULATOR_SEED"] for _ in range(5)}
    assert len(drawn) > 1
    assert all(seed.isdecimal() for seed in drawn)
    asked = environment({"SIMULATOR_SEED": "random"}, REDIS, 8900, "")
    assert asked["SIMULATOR_SEED"].isdecimal()
    assert asked["SIMULATOR_PHASE"] == "60"
    own = {"SIMULATOR_SEED": "7", "SIMULATOR_PHASE": "0"}
    assert own.items() <= environment(own, REDIS, 8900, "").items()


def test_plugins_of_ones_own_are_found_behind_ours() -> None:
    """PYTHONPATH is kept, so that a user's module can be imported by the parts."""
    ours, theirs = environment({"PYTHONPATH": "/mine"}, REDIS, 8900, "")["PYTHONPATH"].split(":")
    assert (ours, theirs) == (environment({}, REDIS, 8900, "")["PYTHONPATH"], "/mine")


def test_it_uses_its_own_redis_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """REDIS_URL in the environment decides."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert load(RunSettings).own_redis
    monkeypatch.setenv("REDIS_URL", "")
    assert load(RunSettings).own_redis
    monkeypatch.setenv("REDIS_URL", REDIS)
    assert not load(RunSettings).own_redis


def test_suite_toml_is_passed_on_without_keys_and_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would else be chosen here is as it says, and the environment wins."""
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "RUN_SECONDS", "BINANCE_SYMBOLS", "SUITE_TOML"):
        monkeypatch.delenv(name, raising=False)
    assert with_suite_file({"A": "b"}) == {"A": "b"}
    (tmp_path / "suite.toml").write_text(
        'redis_url = "redis://real:6379"\nbinance_api_key = "real"\nlive_trading = "x"\n'
        'run_seconds = 3\nbinance_symbols = ["ETH/USDT"]\nindicators = ["a", "b"]\n'
        '[bot]\nstrategies = ["s"]\nbot_mode = "observe"\nredis_url = "redis://real:6379"\n'
        "[exchange_simulator]\nsimulator_seed = 7\nsimulator_phase = 9\n"
    )
    settings = load(RunSettings)
    assert settings.own_redis
    assert (settings.run_seconds, settings.markets["binance"]) == (3, ("ETH/USDT",))
    handed = environment(with_suite_file({"INDICATORS": "mine"}), REDIS, 8900, "i", "t")
    assert (handed["INDICATORS"], handed["STRATEGIES"]) == ("mine", "s")
    assert (handed["BOT_MODE"], handed["REDIS_URL"]) == ("observe", REDIS)
    assert handed["SUITE_TOML"] == str(tmp_path / "suite.toml")
    assert handed["SUITE_TOML_KEYS"] == "no"
    assert (handed["SIMULATOR_SEED"], handed["SIMULATOR_PHASE"]) == ("7", "9")
    assert "real" not in str(handed)
    assert environment(with_suite_file({}), REDIS, 8900, "i", "t")["INDICATORS"] == "a,b"


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_a_run_of_no_length_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    """The error names the variable and its value."""
    monkeypatch.setenv("RUN_SECONDS", seconds)
    with pytest.raises(SettingsError, match=f"^RUN_SECONDS='{seconds}': Input should be"):
        load(RunSettings)


def test_the_bot_trades_on_paper_unless_it_is_set_to_observe() -> None:
    """Its strategies are those whose markets are watched; others may be named. Never live."""
    usual = RunSettings(binance_symbols=("ETH/USDT",)).strategies
    assert usual == "sma_crossover:luno:XBT/ZAR:0.001"
    handed = environment({"STRATEGIES": "", "BOT_MODE": "live"}, REDIS, 8900, "", usual)
    assert (handed["STRATEGIES"], handed["BOT_MODE"]) == (usual, "paper")
    other = {"STRATEGIES": "do_nothing:luno:XBT/ZAR:1", "BOT_MODE": "Observe"}
    handed = environment(other, REDIS, 8900, "", usual)
    assert (handed["STRATEGIES"], handed["BOT_MODE"]) == (other["STRATEGIES"], "observe")
