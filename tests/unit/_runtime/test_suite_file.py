"""`suite.toml`: what wins over what, and what is said about a file that can't be used."""

import json
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from services._runtime.settings import (
    ApiKey,
    Port,
    ServiceSettings,
    SettingsError,
    Symbols,
    load,
)
from services._runtime.suite_file import NAMES, SERVICES, SuiteFileError, read

SECRET = "hunter2-canary"


def pairs(value: object) -> object:
    """A limit for each asset, as the risk settings have it."""
    return dict(p.split(":") for p in value.split(",")) if isinstance(value, str) else value


class Bot(ServiceSettings):
    """A service's settings, with one of each kind."""

    section: ClassVar[str] = "bot"

    health_port: Port = 8000
    binance_symbols: Symbols = ("BTC/USDT",)
    binance_api_key: ApiKey = None
    risk_price_collar: Annotated[str, Field(max_length=5)] = "0.05"
    risk_max_notional: Annotated[dict[str, str], NoDecode, BeforeValidator(pairs)] = Field(
        default_factory=dict
    )
    simulator_binance_key_withdraws: bool = False


class Connector(Bot):
    """Another one."""

    section: ClassVar[str] = "luno_connector"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and none of the variables that are read."""
    monkeypatch.chdir(tmp_path)
    for name in Bot.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    return tmp_path


def write(folder: Path, text: str, mode: int = 0o600) -> None:
    """`suite.toml` in the working directory."""
    (folder / "suite.toml").write_text(text)
    (folder / "suite.toml").chmod(mode)


def refused(folder: Path, text: str, mode: int = 0o600) -> str:
    """The message that answers a file."""
    write(folder, text, mode)
    with pytest.raises(SettingsError) as caught:
        load(Bot)
    return str(caught.value)


def test_settings_at_the_top_are_for_all_and_those_in_a_table_for_one(folder: Path) -> None:
    """A service's own table wins."""
    write(
        folder,
        'log_level = "debug"\nhealth_port = 81\n[bot]\nhealth_port = 82\n'
        "[binance_connector]\nhealth_port = 83\n",
    )
    bot, other = load(Bot), load(Connector)
    assert (bot.log_level, bot.health_port) == ("debug", 82)
    assert (other.log_level, other.health_port) == ("debug", 81)


def test_toml_has_lists_tables_numbers_and_booleans(folder: Path) -> None:
    """Each means what the variable's text does; a number stays as it is written."""
    write(
        folder,
        'binance_symbols = ["btc/usdt", "ETH/USDT"]\nrisk_price_collar = 0.10\n'
        "risk_max_notional = {USDT = 1000, ZAR = 0.1}\nsimulator_binance_key_withdraws = true\n",
    )
    found = load(Bot)
    assert found.binance_symbols == ("BTC/USDT", "ETH/USDT")
    assert found.risk_price_collar == "0.10"
    assert found.risk_max_notional == {"USDT": "1000", "ZAR": "0.1"}
    assert found.simulator_binance_key_withdraws is True
    write(folder, "[risk_max_notional]\nUSDT = 1000\n")
    assert load(Bot).risk_max_notional == {"USDT": "1000"}


def test_environment_then_secret_files_then_dotenv_then_suite_toml(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is used where those before it are silent; a file that suite.toml names is its own."""

    def key() -> str:
        found = load(Bot).binance_api_key
        assert found is not None
        return found.get_secret_value()

    for name in ("one", "two"):
        (folder / name).write_text(f"from-file-{name}")
    write(folder, 'binance_api_key = "from-toml"\n')
    assert key() == "from-toml"
    write(folder, 'binance_api_key = "from-toml"\nbinance_api_key_file = "one"\n')
    assert key() == "from-file-one"
    (folder / ".env").write_text("BINANCE_API_KEY=from-dotenv\n")
    assert key() == "from-dotenv"
    monkeypatch.setenv("BINANCE_API_KEY_FILE", "two")
    assert key() == "from-file-two"
    monkeypatch.setenv("BINANCE_API_KEY", "from-environment")
    assert key() == "from-environment"


def test_an_empty_variable_sets_nothing_and_neither_does_an_empty_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose passes `${NAME:-}` as an empty text: then the file decides."""
    write(folder, 'log_level = "debug"\nbinance_symbols = []\n[bot]\nhealth_port = 82\n')
    monkeypatch.setenv("LOG_LEVEL", "")
    monkeypatch.setenv("SUITE_TOML", "")
    found = load(Bot)
    assert (found.log_level, found.health_port) == ("debug", 82)
    assert found.binance_symbols == ("BTC/USDT",)


def test_the_file_may_lie_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment or `.env` names it; then it must be there."""
    (folder / "mine.toml").write_text("health_port = 84\n")
    write(folder, "health_port = 81\n")
    (folder / ".env").write_text("SUITE_TOML=mine.toml\n")
    assert load(Bot).health_port == 84
    monkeypatch.setenv("SUITE_TOML", str(folder / "nowhere.toml"))
    with pytest.raises(SettingsError, match=r"^SUITE_TOML='.*nowhere.toml': there is no such file"):
        load(Bot)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("health_prot = 81\n", "suite.toml: health_prot: no setting has this name; did you mean"),
        ("HEALTH_PORT = 81\n", "suite.toml: HEALTH_PORT: no setting has this name; did you mean"),
        ("[bot]\nhealth_prot = 81\n", "suite.toml: [bot] health_prot: bot has no such setting;"),
        ("[bot]\nluno_rest_url = 'x'\n", "suite.toml: [bot] luno_rest_url: bot has no such"),
        ("[bott]\nhealth_port = 81\n", "suite.toml: [bott]: no service has this name; did you"),
        ("zzz = 1\n", "suite.toml: zzz: no setting has this name; expected a name of .env.example"),
        ("suite_toml = 'x'\n", "suite.toml: suite_toml: no setting has this name;"),
        ("health_port_file = 'x'\n", "suite.toml: health_port_file: no setting has this name;"),
        ("health_port = 'http'\n", "suite.toml: health_port='http': Input should be a valid int"),
        ("[bot]\nhealth_port = 70000\n", "suite.toml: [bot] health_port='70000': Input should"),
        (
            'binance_symbols = ["BTCUSDT"]\n',
            "suite.toml: binance_symbols='BTCUSDT': invalid symbol",
        ),
        (
            "log_level = 1979-05-27\n",
            "suite.toml: log_level = 1979-05-27: expected a text, a number",
        ),
        ("binance_symbols = [['x']]\n", "suite.toml: binance_symbols = ['x']: expected a text"),
        ("health_port 81\n", "suite.toml: not valid TOML: Expected '=' after a key"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_name_value_and_what_would_be_right(
    folder: Path, text: str, said: str
) -> None:
    """In the words of whoever wrote the file."""
    message = refused(folder, text)
    assert message.startswith(said)
    assert len(message.splitlines()) == 1


def test_every_unknown_name_is_reported_at_once(folder: Path) -> None:
    """One line each; another service's table is that service's to judge."""
    lines = refused(folder, "a = 1\nb = 2\n[bot]\nc = 3\n[luno_connector]\nd = 4\n").splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["a", "b", "[bot] c"]
    write(folder, "[luno_connector]\nd = 4\n")
    load(Bot)


def test_an_invalid_value_is_reported_with_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable's own name where the environment has it, whatever the file says."""
    write(folder, "health_port = 81\n")
    monkeypatch.setenv("HEALTH_PORT", "http")
    with pytest.raises(SettingsError, match=r"^HEALTH_PORT='http': "):
        load(Bot)


def test_a_secret_is_never_shown(folder: Path) -> None:
    """Neither one that is refused nor one whose name is mistyped."""
    assert SECRET not in refused(folder, f'binance_api_key = "{SECRET} {SECRET}"\n')
    assert SECRET not in refused(folder, f'binance_api_keey = "{SECRET}"\n')
    said = refused(folder, 'binance_api_key_file = "nowhere"\n')
    assert said.startswith("suite.toml: binance_api_key_file='nowhere': can't be read (")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o777])
@pytest.mark.parametrize(
    "line",
    [f'binance_api_key = "{SECRET}"\n', f'redis_url = "redis://:{SECRET}@there:6379/0"\n'],
)
def test_a_secret_in_a_file_that_others_may_open_is_refused(
    folder: Path, line: str, mode: int
) -> None:
    """With what to do; a file without secrets may be anybody's to read."""
    said = refused(folder, line, mode)
    assert said.startswith(f"suite.toml: {line.partition(' ')[0]}: every user of this machine")
    assert f"(mode {mode:o}); run `chmod 600 suite.toml`" in said
    assert SECRET not in said
    write(folder, line, 0o640)
    assert set(load(Bot).secrets) == {SECRET}
    write(folder, 'redis_url = "redis://there:6379/0"\nbinance_api_key_file = ""\n', mode)
    assert load(Bot).redis_url == "redis://there:6379/0"


def test_keys_are_not_read_if_none_may_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither itself nor its file: `make run` and `make live` say so to what they start."""
    write(folder, 'binance_api_key = "real"\nbinance_api_key_file = "x"\nhealth_port = 81\n', 0o644)
    monkeypatch.setenv("SUITE_TOML_KEYS", "no")
    found = load(Bot)
    assert (found.binance_api_key, found.health_port) == (None, 81)


@pytest.mark.parametrize("content", [b"\xff", None], ids=["not text", "a folder"])
def test_a_file_that_cant_be_read_is_one_clear_line(folder: Path, content: bytes | None) -> None:
    """No traceback out of a library."""
    if content is None:
        (folder / "suite.toml").mkdir()
    else:
        (folder / "suite.toml").write_bytes(content)
    with pytest.raises(
        SettingsError, match=r"^suite\.toml: (not valid UTF-8|can't be read \(IsADir)"
    ):
        load(Bot)


TEXTS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.lists(TEXTS, max_size=4))


@given(
    top=st.dictionaries(st.sampled_from(sorted(NAMES)), VALUES, max_size=4),
    table=st.dictionaries(st.sampled_from(sorted(NAMES)), VALUES, max_size=4),
    service=st.sampled_from(SERVICES),
)
def test_whatever_is_written_is_read_as_the_variable_would_have_it(
    top: dict[str, object],
    table: dict[str, object],
    service: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Lists joined by commas, truth in small letters; nothing gets lost."""

    def line(name: str, value: object) -> str:
        return f"{name} = {json.dumps(value, ensure_ascii=False)}\n"

    def text(value: object) -> str:
        if isinstance(value, list):
            return ",".join(value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    path = tmp_path_factory.mktemp("suite") / "suite.toml"
    lines = [*(line(*pair) for pair in top.items()), f"[{service}]\n"]
    path.write_text("".join([*lines, *(line(*pair) for pair in table.items())]))
    if service in top:  # `indicators` is a service and a setting: not both in one file
        with pytest.raises(SuiteFileError):
            read(path)
        return
    found = read(path).values(service)
    assert found == {n: text(v) for n, v in {**top, **table}.items() if text(v)}


def test_secrets_of_the_file_are_kept_secret(folder: Path) -> None:
    """As those of the environment are: redaction is told."""
    write(folder, f'binance_api_key = "{SECRET}"\n')
    found = load(Bot)
    assert found.binance_api_key == SecretStr(SECRET)
    assert SECRET in found.secrets
