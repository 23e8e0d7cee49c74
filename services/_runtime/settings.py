"""Settings: read once, from the environment, `.env` and `*_FILE` secrets.

Each service has one class that inherits `ServiceSettings`; a field's name in capitals is its
variable. `load` turns what pydantic finds into lines a person can act on.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from redis.asyncio.connection import parse_url

S = TypeVar("S", bound="ServiceSettings")


class SettingsError(Exception):
    """Settings that can't be used: the message has one line for each fault."""


def _redis_url(url: str) -> str:
    try:
        parse_url(url)
    except ValueError as e:
        raise ValueError(f"{e}; want e.g. redis://127.0.0.1:6379/0") from None
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


def _root_url(url: str) -> str:
    if "://" not in url:
        raise ValueError(f"{url!r} has no scheme; want e.g. https://host or ws://host:port")
    return url.rstrip("/")


# A comma list of slash symbols: "BTC/USDT,ETH/USDT".
Symbols = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_symbols), AfterValidator(_slash_form)
]
# A URL, kept without a trailing slash.
Url = Annotated[str, AfterValidator(_root_url)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _is_secret(info: FieldInfo) -> bool:
    return info.annotation is SecretStr or SecretStr in get_args(info.annotation)


class _SecretFiles(PydanticBaseSettingsSource):
    """`NAME_FILE=/run/secrets/name` gives the secret `NAME`, as Docker's secrets are read."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{field_name.upper()}_FILE", "")  # noqa: TID251 - this is settings
        if not path or not _is_secret(field):
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None, field_name, False
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(
                f"{field_name.upper()}_FILE={path!r}: can't be read ({e.__class__.__name__}); "
                "want the path of a text file that holds the secret"
            ) from None

    def __call__(self) -> dict[str, Any]:
        values = {}
        for name, info in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(info, name)
            if value is not None:
                values[key] = value
        return values


class ServiceSettings(BaseSettings):
    """What every service is told."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    redis_url: Annotated[str, AfterValidator(_redis_url)] = "redis://127.0.0.1:6379/0"
    health_host: str = "127.0.0.1"
    health_port: Port = 8000
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then secret files, then `.env`."""
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings


def load(settings_type: type[S]) -> S:
    """Read a service's settings.

    Raises:
        SettingsError: one line for each variable that can't be used; secrets are never shown.
    """
    try:
        return settings_type()
    except ValidationError as e:
        raise SettingsError(
            "\n".join(_line(settings_type, error) for error in e.errors())
        ) from None


def _line(settings_type: type[ServiceSettings], error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    message: str = error["msg"].removeprefix("Value error, ")
    info = settings_type.model_fields.get(field)
    if info is None:
        return message
    if _is_secret(info) or field == "redis_url":  # a Redis URL may hold a password
        return f"{field.upper()}: {message}"
    return f"{field.upper()}={error['input']!r}: {message}"
