"""Settings: read once, from the environment, `.env` and `*_FILE` secrets.

Each service has one class that inherits `ServiceSettings`; a field's name in capitals is its
variable. `load` turns what pydantic finds into lines a person can act on.
"""

import io
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
from services._runtime.text import bare, is_text
from services._runtime.urls import hidden, venue_url

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """Settings that can't be used: the message has one line for each fault."""


# What a Redis URL may ask for behind its "?"; the rest is set by `redis_client`.
_REDIS_OPTIONS = ("db", "ssl_")
_URLS_WITH_PASSWORD = ("redis_url", "https_proxy")


def _redis_url(url: str) -> str:
    # The messages never repeat the URL or a part of it: any part may be a piece of a password.
    want = "want e.g. redis://127.0.0.1:6379/0, a password's special characters as %XX"
    try:
        options = parse_url(url)
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"can't be parsed; {want}") from None
    if parts.scheme != "unix":
        if not parts.hostname or port == 0 or parts.fragment:
            raise ValueError(f"has no host, or no usable port; {want}")
        if parts.path.strip("/") and "db" not in options:
            raise ValueError(f"what follows the port is no database number; {want}")
    for name in parse_qs(parts.query):
        if not name.startswith(_REDIS_OPTIONS):
            raise ValueError(f"may have the options db and ssl_… only; {want}")
    return url


def _symbols(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(part.strip().upper() for part in value.split(",") if part.strip()))


def _slash_form(symbols: tuple[str, ...]) -> tuple[str, ...]:
    for symbol in symbols:
        if symbol.count("/") != 1 or not all(part.isalnum() for part in symbol.split("/")):
            raise ValueError(f"{symbol!r} is no symbol; want the slash form, e.g. BTC/USDT")
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
# URLs of an exchange, in one form, without a trailing slash; in the clear to this machine only.
HttpUrl = Annotated[str, AfterValidator(partial(venue_url, schemes=("https", "http")))]
WebSocketUrl = Annotated[str, AfterValidator(partial(venue_url, schemes=("wss", "ws")))]
Port = Annotated[int, Field(ge=0, le=65535)]


def api_key(value: object) -> object:
    """A key of an exchange, as it can be sent in a header and signed with.

    Raises:
        ValueError: it has a character that no key has; the key itself isn't shown.
    """
    for character in value if isinstance(value, str) else "":
        if not "!" <= character <= "~" or character in "\"'":
            raise ValueError(
                f"has a character that no key has (U+{ord(character):04X}); "
                "want it as the exchange shows it, on one line, without quotes"
            )
    return value


# A key or a secret of an exchange; None: there is none.
ApiKey = Annotated[SecretStr | None, BeforeValidator(api_key)]


def _is_secret(name: str, info: FieldInfo) -> bool:
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

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        paths = (source.env_vars.get(f"{field_name}_file") for source in self._variables)
        path = next(filter(None, paths), None)
        if path is None or not _is_secret(field_name, field):
            return None, field_name, False
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
            return bare(text) or None, field_name, False
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(
                f"{field_name.upper()}_FILE={path!r}: can't be read ({e.__class__.__name__}); "
                "want the path of a text file that holds the secret"
            ) from None

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields.items()
        values = {name: self.get_field_value(info, name)[0] for name, info in fields}
        return {name: value for name, value in values.items() if value is not None}


class _DotEnv(EnvSettingsSource):
    """`.env`: of bytes that are no text only those in a value that is used do harm."""

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
    """A file's text, without the byte order mark that some editors put before it."""
    return content.decode("utf-8-sig", "surrogateescape")


class Settings(BaseSettings):
    """Where Redis is, and where settings come from."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)
    dotenv: ClassVar[Path | None] = Path(".env")

    redis_url: Annotated[str, AfterValidator(_redis_url), Field(repr=False)] = (
        "redis://127.0.0.1:6379/0"
    )

    @field_validator("*", mode="before")
    @classmethod
    def text(cls, value: object, info: ValidationInfo) -> object:
        """Refuse bytes of another encoding; take off what a secret was copied with."""
        if not isinstance(value, str):
            return value
        if not is_text(value):
            raise ValueError("isn't text in UTF-8; write it anew in an editor that saves UTF-8")
        name = str(info.field_name)
        if not _is_secret(name, cls.model_fields[name]):
            return value
        return bare(value) or ("" if name in _URLS_WITH_PASSWORD else None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value here that nobody may see."""
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
        """The environment first, then secret files, then `.env`."""
        dotenv = _DotEnv(settings_cls)
        variables = [s for s in (env_settings, dotenv) if isinstance(s, EnvSettingsSource)]
        return init_settings, env_settings, _SecretFiles(settings_cls, *variables), dotenv


class ServiceSettings(Settings):
    """What every service is told."""

    health_host: str = "127.0.0.1"
    health_port: Port = 8000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        "info"
    )
    # Where tests kill a process; see `failpoints`.
    failpoint: Annotated[str, AfterValidator(_failpoint)] = ""


def load(settings_type: type[S]) -> S:
    """Read a service's settings.

    Raises:
        SettingsError: one line for each variable that can't be used; secrets are never shown.
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
    if _is_secret(field, info):
        return f"{field.upper()}: {message}"
    return f"{field.upper()}={_shown(error['input'])!r}: {message}"


def _shown(value: object) -> object:
    return hidden(value) if isinstance(value, str) else value
