"""The house rules that no other tool checks."""

import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest

import services
from services._runtime import suite_file
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import Settings, is_secret, load

ROOT = Path(services.__file__).parents[1]
SERVICES = ROOT / "services"
MOST_LINES = 400


def folders() -> list[Path]:
    """The folders in services/ that hold code."""
    return sorted(path for path in SERVICES.iterdir() if any(path.glob("*.py")))


def settings_classes() -> dict[str, type[Settings]]:
    """Every class of settings, by where it is: found by walking, not by a list."""
    found = {}
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if module.name.endswith(".settings"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, type) and issubclass(value, Settings):
                    found[f"{module.name}.{name}"] = value
    return found


def example_variables() -> dict[str, str]:
    """What `.env.example` names, and the values that stand there."""
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", text, flags=re.MULTILINE))


def test_every_folder_of_services_is_a_process_unless_it_starts_with_an_underscore() -> None:
    """`python -m services.<folder>` starts it."""
    processes = [path for path in folders() if not path.name.startswith("_")]
    assert processes
    assert [path.name for path in processes if not (path / "__main__.py").exists()] == []


def test_a_main_module_does_nothing_but_start_its_service() -> None:
    """Three lines and their imports; what it starts is in other modules."""
    for main in SERVICES.glob("[!_]*/__main__.py"):
        code = [line for line in main.read_text().splitlines() if line and not line.startswith('"')]
        assert len(code) <= 5, main


@pytest.mark.parametrize("package", ["services", "common_models"])
def test_no_module_is_longer_than_a_reader_can_hold(package: str) -> None:
    """A module beyond 400 lines is two modules."""
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / package).rglob("*.py")}
    assert lengths
    assert {str(path): n for path, n in lengths.items() if n > MOST_LINES} == {}


def test_the_tree_of_unit_tests_mirrors_the_code() -> None:
    """tests/unit/x/ tests services/x/, common_models/ or benchmarks/."""
    here = Path(__file__).parent
    code = {path.name for path in folders()} | {"common_models", "benchmarks"}
    tested = {path.name for path in here.iterdir() if any(path.rglob("test_*.py"))}
    assert tested - code == set()


def test_env_example_names_every_variable_and_no_other() -> None:
    """What a service reads is explained there; what isn't read would be a promise broken."""
    classes = settings_classes()
    fields = {name.upper() for found in classes.values() for name in found.model_fields}
    assert {"REDIS_URL", "BINANCE_SYMBOLS", "LUNO_API_SECRET_KEY"} <= fields
    assert set(example_variables()) == fields


def test_suite_toml_may_hold_every_variable_and_no_other() -> None:
    """But for its own name; which of them are secrets is known."""
    found = {
        name: info
        for settings in settings_classes().values()
        for name, info in settings.model_fields.items()
    }
    assert found.keys() - {"suite_toml"} == suite_file.NAMES
    assert {name for name in found if is_secret(name, found[name])} == suite_file.SECRETS
    tables = {settings.section for settings in settings_classes().values()}
    assert tables - {""} == set(suite_file.SERVICES)


@pytest.mark.parametrize("name", settings_classes())
def test_the_example_of_suite_toml_is_understood(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By every service; it sets something for each of those that it has a table for."""
    monkeypatch.chdir(tmp_path)
    for variable in example_variables():
        monkeypatch.delenv(variable, raising=False)
    (example,) = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs/settings.md").read_text(), re.DOTALL
    )
    (tmp_path / "suite.toml").write_text(example)
    settings = settings_classes()[name]
    found = load(settings)
    assert {"bot_mode", "strategies"} <= found.model_fields_set or settings.section != "bot"
    if "binance_symbols" in settings.model_fields:
        assert found.model_dump()["binance_symbols"] == ("BTC/USDT", "ETH/USDT")


# Values of the settings that .env.example has empty.
SET = {
    **{variable.lower(): "k" for each in MANIFESTS.values() for variable in each.credentials},
    "bot_mode": "paper",
    "failpoint": "after_post",
    "health_port": "81",
    "https_proxy": "http://proxy:3128",
    "indicator_plugins": "mine.Vwma",
    "indicators": "binance:BTC/USDT:rsi_14",
    "instance_id": "a",
    "live_trading": "yes-i-mean-it",
    "luno_accounts": "XBT:4711",
    "no_proxy": "luno.com",
    "risk_orders_per_minute_total": "70",
    "run_seconds": "1.5",
    "simulator_first_id": "7",
    "simulator_funds": "BTC:0",
    "simulator_state_file": "state",
    "simulator_symbols": "BTC/USDT",
    "strategies": "do_nothing:binance:BTC/USDT:1",
}


@pytest.mark.parametrize("name", settings_classes())
def test_each_variable_of_env_example_means_the_same_in_suite_toml(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All at once: each reaches every service that knows it."""
    monkeypatch.chdir(tmp_path)
    settings = settings_classes()[name]
    given = {**{n.lower(): value for n, value in example_variables().items()}, **SET}
    del given["suite_toml"]
    assert all(given.values())
    for variable in given:
        monkeypatch.delenv(variable.upper(), raising=False)
        monkeypatch.delenv(f"{variable.upper()}_FILE", raising=False)
    lines = [f"{variable} = {json.dumps(value)}\n" for variable, value in given.items()]
    file = tmp_path / "suite.toml"
    file.write_text("".join(lines))
    file.chmod(0o600)
    found = load(settings)
    barred = {n for n in given if n.startswith(settings.never_in_suite_file)}
    assert found.model_fields_set == settings.model_fields.keys() - {"suite_toml"} - barred
    file.unlink()
    for variable in given.keys() - barred:
        monkeypatch.setenv(variable.upper(), given[variable])
    assert load(settings) == found


@pytest.mark.parametrize("name", settings_classes())
def test_env_example_shows_the_defaults(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Uncommenting all of it changes nothing."""
    monkeypatch.chdir(tmp_path)
    settings = settings_classes()[name]
    for variable in example_variables():
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(f"{variable}_FILE", raising=False)
    defaults = load(settings)
    for variable, value in example_variables().items():
        monkeypatch.setenv(variable, value)
    assert load(settings) == defaults
