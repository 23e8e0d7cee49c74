"""Settings that exist once for each exchange."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services._runtime.exchange_settings import (
    CREDENTIALS,
    SYMBOLS,
    Fields,
    watched_symbols,
    with_fields,
)
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import ServiceSettings, SettingsError, load

FIELDS: Fields = {**SYMBOLS, **CREDENTIALS}


@with_fields(FIELDS)
class Sample(ServiceSettings):
    """Settings with symbols and credentials of each exchange."""

    own: str = "x"


@pytest.fixture(autouse=True)
def empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and none of the variables."""
    monkeypatch.chdir(tmp_path)
    for name in Sample.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def test_each_exchange_has_its_variables_with_the_defaults_of_its_manifest() -> None:
    """The class keeps its own fields, its name and its docstring."""
    expected = {name: each.symbols for name, each in MANIFESTS.items()}
    assert watched_symbols(load(Sample)) == expected
    assert (
        ServiceSettings.model_fields.keys() | FIELDS.keys() | {"own"} == Sample.model_fields.keys()
    )
    assert (Sample.__name__, Sample.__module__) == ("Sample", __name__)
    assert Sample.__doc__ == "Settings with symbols and credentials of each exchange."


def test_they_are_read_as_any_other_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the environment and from secret files, with the same checks."""
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("LUNO_SYMBOLS", "eth/zar")
    monkeypatch.setenv("LUNO_API_KEY_ID_FILE", "key")
    settings = load(Sample)
    assert watched_symbols(settings)["luno"] == ("ETH/ZAR",)
    assert settings.model_dump()["luno_api_key_id"] == SecretStr("secret")
    monkeypatch.setenv("LUNO_SYMBOLS", "ETHZAR")
    with pytest.raises(SettingsError, match=r"LUNO_SYMBOLS=.*invalid symbol 'ETHZAR'"):
        load(Sample)
