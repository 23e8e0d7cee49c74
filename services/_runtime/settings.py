"""Settings: read once, from the environment, `*_FILE` secrets, `.env` and `suite.toml`.

Each service has one subclass of `ServiceSettings`; a field's name in upper case is its variable.
`load` turns pydantic's errors into lines that name the variable and the expected value.
"""

import io
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from redis.asyncio.connection import parse_url

from services._runtime import failpoints
from services._runtime.exchanges import EXCHANGES
from services._runtime.suite_file import FILE, NAMES, SuiteFile, SuiteFileError, read
from services._runtime.text_sanitizing import is_utf8, strip_pasted_characters
from services._runtime.urls import hidden, venue_url

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """Invalid settings; the message has one line for each error."""


# The options that a Redis URL may have after "?"; `redis_client` sets all others.
_REDIS_OPTIONS = ("db", "ssl_")
_URLS_WITH_PASSWORD = ("redis_url", "https_proxy")
# Prefixes of the settings that could reach a real account.
REAL_MONEY = (*(f"{name}_api_" for name in EXCHANGES), "live_trading")


def _redis_url(url: str) -> str:
    # The messages never repeat the URL or a part of it: any part may belong to a password.
    expected = "expected e.g. redis://127.0.0.1:6379/0, a password's special characters as %XX"
    try:
        options = parse_url(url)
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"can't be parsed; {expected}") from None
    if parts.scheme != "unix":
        if not parts.hostname or port == 0 or parts.fragment:
            raise ValueError(f"has no host, or no valid port; {expected}")
        if parts.path.strip("/") and "db" not in options:
            raise ValueError(f"invalid database number after the port; {expected}")
    for name in parse_qs(parts.query):
        if not name.startswith(_REDIS_OPTIONS):
            raise ValueError(f"may only have the options db and ssl_…; {expected}")
    return url


def _symbols(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(part.strip().upper() for part in value.split(",") if part.strip()))


def _slash_form(symbols: tuple[str, ...]) -> tuple[str, ...]:
    for symbol in symbols:
        if symbol.count("/") != 1 or not all(part.isalnum() for part in symbol.split("/")):
            raise ValueError(f"invalid symbol {symbol!r}; expected the slash form, e.g. BTC/USDT")
    return symbols


def _failpoint(text: str) -> str:
    failpoints.parse(text)
    return text


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# A comma list of slash symbols: "BTC/USDT,ETH/USDT".
Symbols = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_symbols), AfterValidator(_slash_form)
]
# URLs of an exchange in canonical form; unencrypted ones only to this machine.
HttpUrl = Annotated[str, AfterValidator(partial(venue_url, schemes=("https", "http")))]
WebSocketUrl = Annotated[str, AfterValidator(partial(venue_url, schemes=("wss", "ws")))]
Port = Annotated[int, Field(ge=0, le=65535)]


def api_key(value: object) -> object:
    """Check that an API key has only characters that can be sent in a header and signed.

    Raises:
        ValueError: it has another character; the message does not show the key.
    """
    for character in value if isinstance(value, str) else "":
        if not "!" <= character <= "~" or character in "\"'":
            raise ValueError(
                f"has an invalid character (U+{ord(character):04X}); "
                "expected the key as the exchange shows it, on one line, without quotes"
            )
    return value


# An API key or secret of an exchange; None: not set.
ApiKey = Annotated[SecretStr | None, BeforeValidator(api_key)]


def is_secret(name: str, info: FieldInfo) -> bool:
    """Whether the value of a setting must never be shown."""
    return (
        info.annotation is SecretStr
        or SecretStr in get_args(info.annotation)
        or name in _URLS_WITH_PASSWORD
    )


class _SecretFiles(PydanticBaseSettingsSource):
    """`NAME_FILE=/run/secrets/name` gives the secret `NAME`, as Docker's secrets are read."""

    def __init__(self, settings_cls: type[BaseSettings], *variables: EnvSettingsSource) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def _spelled(self, name: str) -> str:
        """The setting's name as the user wrote it."""
        if any(isinstance(source, _SuiteToml) for source in self._variables):
            return _in_suite_file(self.settings_cls, name) or name.upper()
        return name.upper()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        paths = (source.env_vars.get(f"{field_name}_file") for source in self._variables)
        path = next(filter(None, paths), None)
        if path is None or not is_secret(field_name, field):
            return None, field_name, False
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
            return strip_pasted_characters(text) or None, field_name, False
        except (OSError, UnicodeDecodeError) as e:
            spelled = self._spelled(f"{field_name}_file")
            raise SettingsError(
                f"{spelled}={path!r}: can't be read ({e.__class__.__name__}); "
                "expected the path of a text file that holds the secret"
            ) from None

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields.items()
        values = {name: self.get_field_value(info, name)[0] for name, info in fields}
        return {name: value for name, value in values.items() if value is not None}


class _SuiteToml(EnvSettingsSource):
    """The settings of this service in `suite.toml`, or in the file that `SUITE_TOML` names."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = suite_file_of(self.settings_cls)
        if found is None:
            return {}
        section, fields = _section(self.settings_cls), self.settings_cls.model_fields
        values: dict[str, str | None] = {**found.values(section)}
        if _checks(self.settings_cls):
            for name, value in values.items():
                if name in fields and is_secret(name, fields[name]) and _has_secret(name, value):
                    _must_be_private(found.path, found.spelled(section, name))
        return values


def suite_file_of(settings_cls: type[BaseSettings]) -> SuiteFile | None:
    """The suite file that this process reads; None if there is none.

    Raises:
        SettingsError: the file can't be read, or has unknown names.
    """
    if not getattr(settings_cls, "suite_file", False):
        return None
    variables = {
        **_DotEnv(settings_cls).env_vars,
        **EnvSettingsSource(settings_cls).env_vars,
    }
    given = variables.get("suite_toml")
    if given and not is_utf8(given):
        raise SettingsError(f"SUITE_TOML={given!r}: not valid UTF-8; expected the path of a file")
    path = Path(given) if given else FILE
    try:
        found = read(path)
        if _checks(settings_cls):
            found.check(_section(settings_cls), settings_cls.model_fields.keys() & NAMES)
    except FileNotFoundError:
        if given is None:
            return None
        raise SettingsError(f"SUITE_TOML={given!r}: there is no such file") from None
    except OSError as e:
        raise SettingsError(f"{path}: can't be read ({e.__class__.__name__})") from None
    except SuiteFileError as e:
        raise SettingsError(str(e)) from None
    left_out: tuple[str, ...] = getattr(settings_cls, "never_in_suite_file", ())
    if variables.get("suite_toml_keys") == "no":
        left_out += REAL_MONEY
    return found.without(left_out)


def _checks(settings_cls: type[BaseSettings]) -> bool:
    return bool(getattr(settings_cls, "checks_suite_file", False))


def _section(settings_cls: type[BaseSettings]) -> str:
    section: str = getattr(settings_cls, "section", "")
    return section


def _has_secret(name: str, value: str | None) -> bool:
    """Whether *value* holds a secret: a URL may have no password."""
    try:
        return name not in _URLS_WITH_PASSWORD or urlsplit(value or "").password is not None
    except ValueError:
        return True


def _must_be_private(path: Path, spelled: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        raise SettingsError(
            f"{spelled}: every user of this machine may read or change the file (mode {mode:o}); "
            f"run `chmod 600 {path}`, or move the secret to a file of its own, "
            f"which {spelled.rpartition(' ')[2]}_file names"
        )


class _DotEnv(EnvSettingsSource):
    """`.env`. Invalid UTF-8 is an error only in values that are used."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        path: Path | None = getattr(self.settings_cls, "dotenv", None)
        if path is None:
            return {}
        try:
            text = _text(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise SettingsError(f"{path}: can't be read ({e.__class__.__name__})") from None
        found = dotenv_values(stream=io.StringIO(text))
        return {name.lower(): value for name, value in found.items() if value}


def _text(content: bytes) -> str:
    """The text of a file, without a byte order mark."""
    return content.decode("utf-8-sig", "surrogateescape")


class Settings(BaseSettings):
    """The base of all settings: the Redis URL, and the sources."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)
    dotenv: ClassVar[Path | None] = Path(".env")
    # Whether `suite.toml` is read; this service's table in it; whether its names and mode are
    # checked; and the prefixes of settings that are never read from it.
    suite_file: ClassVar[bool] = True
    section: ClassVar[str] = ""
    checks_suite_file: ClassVar[bool] = False
    never_in_suite_file: ClassVar[tuple[str, ...]] = ()

    # The path of the suite file; by default `suite.toml`, if it exists.
    suite_toml: str = ""

    redis_url: Annotated[str, AfterValidator(_redis_url), Field(repr=False)] = (
        "redis://127.0.0.1:6379/0"
    )

    @field_validator("*", mode="before")
    @classmethod
    def text(cls, value: object, info: ValidationInfo) -> object:
        """Refuse invalid UTF-8; strip blanks and quotes that were pasted around a secret."""
        if not isinstance(value, str):
            return value
        if not is_utf8(value):
            raise ValueError("not valid UTF-8; write it again in an editor that saves UTF-8")
        name = str(info.field_name)
        if not is_secret(name, cls.model_fields[name]):
            return value
        return strip_pasted_characters(value) or ("" if name in _URLS_WITH_PASSWORD else None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown."""
        values = (getattr(self, name) for name in type(self).model_fields)
        own = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        urls = (getattr(self, name, "") for name in _URLS_WITH_PASSWORD)
        in_urls = [urlsplit(url).password or "" for url in urls]
        return tuple(filter(None, [*own, *in_urls, *map(unquote, in_urls)]))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then secret files, then `.env`, then `suite.toml`."""
        dotenv, suite = _DotEnv(settings_cls), _SuiteToml(settings_cls)
        variables = [s for s in (env_settings, dotenv) if isinstance(s, EnvSettingsSource)]
        files, suite_files = (_SecretFiles(settings_cls, *s) for s in (variables, [suite]))
        return init_settings, env_settings, files, dotenv, suite_files, suite


class ServiceSettings(Settings):
    """The settings of every service."""

    checks_suite_file: ClassVar[bool] = True

    health_host: str = "127.0.0.1"
    health_port: Port = 8000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        "info"
    )
    # Tests only: where the process kills itself; see `failpoints`.
    failpoint: Annotated[str, AfterValidator(_failpoint)] = ""


def load(settings_type: type[S]) -> S:
    """Load the settings of a service.

    Raises:
        SettingsError: one line for each invalid variable; secrets are never shown.
    """
    try:
        return settings_type()
    except ValidationError as e:
        lines = [_line(settings_type, error) for error in e.errors()]
        raise SettingsError("\n".join(lines)) from None


def _line(settings_type: type[Settings], error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    message: str = error["msg"].removeprefix("Value error, ")
    info = settings_type.model_fields.get(field)
    if info is None:
        return message
    spelled = _spelled(settings_type, field)
    if is_secret(field, info):
        return f"{spelled}: {message}"
    return f"{spelled}={_shown(error['input'])!r}: {message}"


def _spelled(settings_type: type[Settings], field: str) -> str:
    """A setting as the user wrote it: a variable, or a name in `suite.toml`."""
    for source in (EnvSettingsSource, _DotEnv):
        variables = source(settings_type).env_vars
        if variables.get(field) or variables.get(f"{field}_file"):
            return field.upper()
    return _in_suite_file(settings_type, field) or field.upper()


def _in_suite_file(settings_type: type[BaseSettings], name: str) -> str | None:
    """The place in `suite.toml` that sets *name*; None if it does not."""
    found, section = suite_file_of(settings_type), _section(settings_type)
    if found is None or name not in found.values(section):
        return None
    return found.spelled(section, name)


def _shown(value: object) -> object:
    return hidden(value) if isinstance(value, str) else value
