"""Settings: where each comes from, and what is said about those that can't be used."""

import os
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from services._runtime.settings import (
    ApiKey,
    ServiceSettings,
    SettingsError,
    Symbols,
    WebSocketUrl,
    load,
)

SECRET = "hunter2-canary"


class Sample(ServiceSettings):
    """A service's settings, with one of each kind."""

    sample_symbols: Symbols = ("BTC/USDT",)
    sample_secret: SecretStr | None = None
    sample_key: ApiKey = None
    sample_url: WebSocketUrl = "wss://example.com"


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and none of the variables that are read."""
    monkeypatch.chdir(tmp_path)
    for name in Sample.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    return tmp_path


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    """The message that answers *name* = *value*."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(Sample)
    return str(caught.value)


def test_defaults_are_those_of_a_redis_on_this_machine() -> None:
    """Nothing has to be set."""
    settings = load(ServiceSettings)
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.health_host == "127.0.0.1"
    assert settings.health_port == 8000
    assert settings.log_level == "info"


def test_a_variable_is_the_fields_name_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    """REDIS_URL, HEALTH_PORT and so on are read from the environment."""
    monkeypatch.setenv("REDIS_URL", "redis://there:6380/2")
    monkeypatch.setenv("HEALTH_PORT", "0")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    settings = load(Sample)
    assert (settings.redis_url, settings.health_port) == ("redis://there:6380/2", 0)
    assert settings.log_level == "debug"


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes `${NAME:-}` as an empty string."""
    for name in Sample.model_fields:
        monkeypatch.setenv(name.upper(), "")
    monkeypatch.setenv("SAMPLE_SECRET_FILE", "")
    assert load(Sample) == Sample.model_construct()


def test_unknown_variables_are_not_ours(bare_environment: Path) -> None:
    """A `.env` is shared by all services: each reads its own variables from it."""
    (bare_environment / ".env").write_text("SOMEONE_ELSES=1\nHEALTH_PORT=81\n")
    assert load(Sample).health_port == 81


def test_the_environment_wins_over_a_secret_file_and_that_over_dotenv(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source is used where those before it are silent."""
    secret = bare_environment / "secret"
    secret.write_text("from-file\n")
    (bare_environment / ".env").write_text("SAMPLE_SECRET=from-dotenv\n")

    def value() -> str:
        found = load(Sample).sample_secret
        assert found is not None
        return found.get_secret_value()

    assert value() == "from-dotenv"
    monkeypatch.setenv("SAMPLE_SECRET_FILE", str(secret))
    assert value() == "from-file"
    monkeypatch.setenv("SAMPLE_SECRET", "from-environment")
    assert value() == "from-environment"


def test_a_secret_files_path_may_stand_in_dotenv(bare_environment: Path) -> None:
    """`NAME_FILE` is read wherever `NAME` is."""
    (bare_environment / "secret").write_text(SECRET)
    (bare_environment / ".env").write_text(f"SAMPLE_SECRET_FILE={bare_environment / 'secret'}\n")
    assert load(Sample).sample_secret == SecretStr(SECRET)


def test_a_redis_url_may_come_from_a_file(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold a password, so it counts as a secret."""
    (bare_environment / "url").write_text("redis://:secret@there:6379/0\n")
    monkeypatch.setenv("REDIS_URL_FILE", "url")
    assert load(Sample).redis_url == "redis://:secret@there:6379/0"


def test_an_empty_secret_file_sets_nothing(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an empty variable doesn't."""
    (bare_environment / "secret").write_text("\n")
    monkeypatch.setenv("SAMPLE_SECRET_FILE", "secret")
    assert load(Sample).sample_secret is None


def test_only_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEALTH_PORT_FILE means nothing."""
    monkeypatch.setenv("HEALTH_PORT_FILE", "/nowhere")
    assert load(Sample).health_port == 8000


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not text"])
def test_a_secret_file_that_cant_be_read_is_one_clear_line(
    content: bytes | None, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the variable, its value, the cause, and what is wanted."""
    if content is not None:
        (bare_environment / "secret").write_bytes(content)
    message = refused(monkeypatch, "SAMPLE_SECRET_FILE", "secret")
    assert message.startswith("SAMPLE_SECRET_FILE='secret': can't be read (")
    assert "expected the path of a text file" in message
    assert "\n" not in message


def test_a_dotenv_that_cant_be_read_is_one_clear_line(bare_environment: Path) -> None:
    """No traceback out of a library."""
    (bare_environment / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"^\.env: can't be read \(IsADirectoryError\)$"):
        load(Sample)


LATIN_1 = "prix \xe9lev\xe9".encode("latin-1")


def test_of_a_dotenv_in_another_encoding_only_what_is_used_must_be_text(
    bare_environment: Path,
) -> None:
    """A comment and somebody else's variable do no harm; a value that is read is named."""
    dotenv = bare_environment / ".env"
    others = b"# " + LATIN_1 + b"\nSOMEONE_ELSES=" + LATIN_1 + b"\nHEALTH_PORT=81\n"
    dotenv.write_bytes(others)
    assert load(Sample).health_port == 81
    dotenv.write_bytes(others + b"SAMPLE_SECRET=" + LATIN_1 + b"\nLOG_LEVEL=" + LATIN_1)
    with pytest.raises(SettingsError) as caught:
        load(Sample)
    first, second = str(caught.value).splitlines()
    assert first.startswith("LOG_LEVEL='prix \\udce9lev\\udce9': not valid UTF-8")
    assert second.startswith("SAMPLE_SECRET: not valid UTF-8")


def test_a_dotenv_may_begin_with_a_byte_order_mark(bare_environment: Path) -> None:
    """Windows editors write one; it is no part of the first variable's name."""
    (bare_environment / ".env").write_bytes(b"\xef\xbb\xbfHEALTH_PORT=81\r\nLOG_LEVEL=debug\r\n")
    settings = load(Sample)
    assert (settings.health_port, settings.log_level) == (81, "debug")


@pytest.mark.parametrize("name", Sample.model_fields)
def test_a_variable_in_another_encoding_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is for."""
    message = refused(monkeypatch, name.upper(), os.fsdecode(LATIN_1))
    assert message.startswith(name.upper())
    assert "not valid UTF-8" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEALTH_PORT", "http"),
        ("HEALTH_PORT", "65536"),
        ("HEALTH_PORT", "-1"),
        ("LOG_LEVEL", "loud"),
        ("SAMPLE_SYMBOLS", "BTCUSDT"),
        ("SAMPLE_SYMBOLS", "BTC/USDT/ETH"),
        ("SAMPLE_SYMBOLS", "BTC/USDT,ETH/"),
        ("SAMPLE_URL", "example.com"),
        ("SAMPLE_URL", "https://"),
    ],
)
def test_a_bad_value_is_answered_with_its_name_and_itself(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line: the variable, the value, and what would be right."""
    message = refused(monkeypatch, name, value)
    assert message.startswith(f"{name}=")
    assert value in message
    assert "\n" not in message


def test_each_bad_variable_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """All faults are told at once."""
    monkeypatch.setenv("HEALTH_PORT", "http")
    lines = refused(monkeypatch, "SAMPLE_URL", "example.com").splitlines()
    assert [line.split("=")[0] for line in lines] == ["HEALTH_PORT", "SAMPLE_URL"]


@pytest.mark.parametrize(
    "url",
    [
        f"there:{SECRET}@6379",
        f"http://:{SECRET}@there:6379",
        f"redis://:{SECRET}@there:port/0",
        f"redis://:{SECRET}@there:99999/0",
        f"redis://:{SECRET}@there:6379/zero",
        f"redis://:{SECRET}@/0",
        f"redis://:{SECRET}@there:6379/0?protocol=3",
        f"redis://:{SECRET}@there:6379/0?socket_timeout={SECRET}",
        f"redis://:{SECRET}@[there:6379/0",
        f"redis://:pass:{SECRET}/word@there:6379/0",
        f"redis://:pass#{SECRET}@there:6379/0",
        f"redis://:pass?{SECRET}@there:6379/0",
    ],
)
def test_a_redis_url_that_cant_be_used_is_one_line_without_the_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any part of such a URL may be a piece of a password, so none is shown."""
    message = refused(monkeypatch, "REDIS_URL", url)
    assert message.startswith("REDIS_URL: ")
    assert "expected e.g. redis://127.0.0.1:6379/0" in message
    assert "\n" not in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "url",
    [
        "redis://there",
        "redis://:p%40ss@there:6379",
        "redis://user:pass@there:6379/3",
        "redis://there:6379?db=3",
        "rediss://there:6379/0?ssl_ca_certs=/ca.pem",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_usual_redis_urls_are_taken_as_they_are(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords, databases, TLS, IPv6 and sockets."""
    monkeypatch.setenv("REDIS_URL", url)
    assert load(Sample).redis_url == url


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings' text nor an error about another variable shows one."""
    monkeypatch.setenv("SAMPLE_SECRET", SECRET)
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@there:6379/0")
    settings = load(Sample)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in refused(monkeypatch, "HEALTH_PORT", "http")


def test_a_secret_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is left out of the line where the field is a secret."""

    class Strict(ServiceSettings):
        sample_secret: Annotated[SecretStr, Field(min_length=100)]

    monkeypatch.setenv("SAMPLE_SECRET", SECRET)
    with pytest.raises(SettingsError) as caught:
        load(Strict)
    assert str(caught.value).startswith("SAMPLE_SECRET: ")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_a_url_may_end_in_a_slash_or_not(slashes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both mean the same root."""
    monkeypatch.setenv("SAMPLE_URL", f"wss://example.com:9443/api{slashes}")
    assert load(Sample).sample_url == "wss://example.com:9443/api"


def test_symbols_are_cleaned_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces, small letters, doubles and stray commas do no harm."""
    monkeypatch.setenv("SAMPLE_SYMBOLS", " eth/usdt, BTC/USDT ,,ETH/USDT,")
    assert load(Sample).sample_symbols == ("ETH/USDT", "BTC/USDT")


ASSETS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8)


@given(st.lists(st.tuples(ASSETS, ASSETS).map("/".join), max_size=8, unique=True))
def test_any_list_of_symbols_is_read_back(symbols: list[str]) -> None:
    """Joining with commas and parsing is lossless."""
    assert TypeAdapter(Symbols).validate_python(",".join(symbols)) == tuple(symbols)


@given(st.text(max_size=20))
def test_any_text_gives_slash_symbols_or_is_refused(text: str) -> None:
    """What gets through has two parts of letters and digits."""
    try:
        symbols = TypeAdapter(Symbols).validate_python(text)
    except ValidationError:
        return
    for symbol in symbols:
        base, quote = symbol.split("/")
        assert base.isalnum()
        assert quote.isalnum()


# How a key comes to be copied: from a Windows file, out of an editor, with an assignment's quotes.
COPIED = {
    "CR": "{}\r",
    "newline": "{}\n",
    "CRLF": "{}\r\n",
    "blanks": " {}\t ",
    "byte order mark": "\ufeff{}",
    "double quotes": '"{}"',
    "single quotes": "'{}'\n",
    "all of it": '\ufeff" {} "\r\n',
}
SOURCES = ("environment", "file", "dotenv")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("copied", COPIED)
@pytest.mark.parametrize("name", ["SAMPLE_KEY", "SAMPLE_SECRET", "REDIS_URL"])
def test_a_secret_works_whatever_it_was_copied_with(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch, name: str, copied: str, source: str
) -> None:
    """From the environment, a file and `.env`."""
    secret = "redis://there:6379/0" if name == "REDIS_URL" else SECRET
    text = COPIED[copied].format(secret)
    if source == "environment":
        monkeypatch.setenv(name, text)
    elif source == "file":
        (bare_environment / "secret").write_bytes(text.encode())
        monkeypatch.setenv(f"{name}_FILE", "secret")
    else:
        (bare_environment / ".env").write_bytes(f"{name}={text}".encode())
    found = getattr(load(Sample), name.lower())
    assert (found if name == "REDIS_URL" else found.get_secret_value()) == secret


@pytest.mark.parametrize(
    "inside", ["\r", "\n", " ", "\x00", "\ufeff", "\u00a0", '"', "\u00e9", "\x7f"]
)
def test_a_key_that_no_header_could_carry_is_refused_by_name(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """At the start, in one line that doesn't show it."""
    (bare_environment / "secret").write_bytes(f"{SECRET}{inside}{SECRET}".encode())
    monkeypatch.setenv("SAMPLE_KEY_FILE", "secret")
    with pytest.raises(SettingsError) as caught:
        load(Sample)
    said = str(caught.value)
    assert said.startswith(f"SAMPLE_KEY: has an invalid character (U+{ord(inside):04X})")
    assert len(said.splitlines()) == 1
    assert SECRET not in said


@pytest.mark.parametrize("nothing", [" ", "\r\n", '""', "\ufeff"])
def test_a_key_that_is_empty_once_stripped_is_not_set(
    monkeypatch: pytest.MonkeyPatch, nothing: str
) -> None:
    """As an empty variable is."""
    monkeypatch.setenv("SAMPLE_KEY", nothing)
    assert load(Sample).sample_key is None
