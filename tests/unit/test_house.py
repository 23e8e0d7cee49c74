"""The house rules that no other tool checks."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import services
from services._runtime.settings import Settings, load

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
