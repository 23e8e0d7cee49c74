"""Which Redis and which services are meant: as the settings say, or those of `make run` here."""

from pathlib import Path
from typing import Any, ClassVar

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url

from services._runtime.runs import Run, going_on
from services._runtime.settings import Settings
from services.tradectl.exit_codes import CommandError, ExitCode, told
from services.tradectl.settings import TradectlSettings

RUNS = Path(".data")
SAY_WHICH = "set REDIS_URL to say which is meant"


class _Given(Settings):
    """What the environment says, without the files, where `make run` looks for no Redis either."""

    dotenv: ClassVar[Path | None] = None
    suite_file: ClassVar[bool] = False


class _Set(Settings):
    """What the files say too."""

    section: ClassVar[str] = "tradectl"


def redis_url() -> str:
    """The Redis that is meant: REDIS_URL, else that of the suite that runs here.

    Of the settings only this is read: what is wrong with another keeps nobody from halting.

    Raises:
        StopError: the settings can't be used, or it could be one or the other.
    """
    given = told(_Given)
    if "redis_url" in given.model_fields_set:
        return given.redis_url
    settings, here = told(_Set), _here()
    if here is None or here.redis_url is None:
        return settings.redis_url
    if "redis_url" in settings.model_fields_set and _place(settings.redis_url) != _place(
        here.redis_url
    ):
        raise CommandError(
            ExitCode.USAGE,
            f"`make run` runs here on {here.redis_url}, and .env or suite.toml names another "
            f"Redis; {SAY_WHICH}",
        )
    return here.redis_url


def health_urls() -> dict[str, str]:
    """Where services answer: as HEALTH_URLS says, else where those of the suite do that runs here.

    Raises:
        StopError: the settings can't be used, or several suites run here.
    """
    settings = told(TradectlSettings)
    here = None if "health_urls" in settings.model_fields_set else _here()
    return settings.health_urls if here is None else here.health_urls


def nobody_at(redis: Redis) -> str:
    """That no connector was ever on this Redis, and what to do."""
    options: dict[str, Any] = redis.connection_pool.connection_kwargs
    default = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return (
        f"no connector was ever on the Redis at {options.get('path', default)}; "
        "if the suite runs, it is on another: set REDIS_URL"
    )


def _here() -> Run | None:
    """The suite that runs in this folder; None where none does.

    Raises:
        StopError: there are several.
    """
    runs = going_on(RUNS)
    if len(runs) > 1:
        places = ", ".join(str(run.redis_url or "a Redis it was given") for run in runs)
        raise CommandError(ExitCode.USAGE, f"{len(runs)} suites run here: {places}; {SAY_WHICH}")
    return runs[0] if runs else None


def _place(url: str) -> tuple[Any, ...]:
    options = parse_url(url)
    port, database = options.get("port", 6379), options.get("db", 0)
    return options.get("path"), options.get("host"), port, database
