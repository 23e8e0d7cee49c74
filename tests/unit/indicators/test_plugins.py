"""Plugins: ours, by dotted path and by entry point, and what is said of those that are none."""

from importlib.metadata import EntryPoint

import pytest

from services.indicators import plugins as module
from services.indicators.plugins import PluginError, Plugins, form
from tests.unit.indicators.some_plugins import Highest

HERE = "tests.unit.indicators.some_plugins"


def test_ours_are_always_there() -> None:
    """By their names."""
    assert Plugins().names == ["atr", "bb", "ema", "macd", "rsi", "sma"]


def test_one_is_found_by_its_dotted_path() -> None:
    """From then on it is one like ours."""
    plugins = Plugins([f"{HERE}.Highest"])
    assert plugins.get("highest") is Highest
    assert form(plugins.get("highest")) == "highest_<period>"
    assert "highest_<period>" in plugins.forms


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("Highest", "'Highest' is not a dotted path; expected e.g. my_indicators.vwma.Vwma"),
        ("no.such.Thing", "'no.such.Thing' can't be loaded: No module named 'no'"),
        (f"{HERE}.Lowest", f"module '{HERE}' has no attribute 'Lowest'"),
        (f"{HERE}.A_NUMBER", "not a class; expected a class with name, outputs and add"),
        (f"{HERE}.Shouting", "name is 'Highest!'; expected lower snake case, e.g. 'vwma'"),
        (f"{HERE}.Mute", r"outputs is (); expected a tuple of the suffix of each stream's name"),
        (f"{HERE}.Twice", r"outputs is ('', ''); expected a tuple"),
        (f"{HERE}.Idle", r"has no method add; expected add(self, candle)"),
        (f"{HERE}.Wordy", "parameter 'text' is annotated <class 'str'>; expected int or float"),
        (f"{HERE}.Taken", "its name 'rsi' is that of services.indicators.maths.Rsi"),
    ],
)
def test_an_invalid_plugin_is_refused_with_the_reason(path: str, error: str) -> None:
    """The error names the path, and what would be right."""
    with pytest.raises(PluginError) as failure:
        Plugins([path])
    assert error in str(failure.value)
    assert path.rpartition(".")[2] in str(failure.value)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with three entry points is installed."""
    group = module.ENTRY_POINTS
    found = [
        EntryPoint("highest", f"{HERE}:Highest", group),
        EntryPoint("other", f"{HERE}:Named", group),
        EntryPoint("gone", "no.such:Thing", group),
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: found if group else [])


@pytest.mark.usefixtures("installed")
def test_one_is_found_by_its_entry_point() -> None:
    """Its name is the entry point's; a package that is broken harms only who asks for it."""
    plugins = Plugins()
    assert plugins.get("highest") is Highest
    assert plugins.names == ["atr", "bb", "ema", "gone", "highest", "macd", "other", "rsi", "sma"]
    with pytest.raises(PluginError, match=r"'no.such.Thing' can't be loaded"):
        plugins.get("gone")
    with pytest.raises(
        PluginError, match=r"other = .*the class's name is 'named'; expected the same"
    ):
        plugins.get("other")


def test_an_unknown_name_is_a_key_error() -> None:
    """The configuration knows what to say of it."""
    with pytest.raises(KeyError):
        Plugins().get("rsj")
