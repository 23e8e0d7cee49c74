"""Chooses the Redis and the services: from the settings, or those of `make run` in this folder."""

from pathlib import Path
from typing import Any, ClassVar

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url

from services._runtime.running_suites import RunningSuite, find_running_suites
from services._runtime.settings import Settings
from services.tradectl.exit_codes import CommandError, ExitCode, load_settings
from services.tradectl.settings import TradectlSettings

RUNS = Path(".data")
SET_REDIS_URL_HINT = "set REDIS_URL to say which is meant"


class _EnvironmentSettings(Settings):
    """Settings of the environment only: `make run` reads no Redis URL from files either."""

    dotenv: ClassVar[Path | None] = None
    suite_file: ClassVar[bool] = False


class _FileSettings(Settings):
    """Settings of the environment and the files."""

    section: ClassVar[str] = "tradectl"


def redis_url() -> str:
    """The URL of the Redis to use: REDIS_URL, else that of the suite that runs in this folder.

    It reads no other setting, so that an invalid one never prevents a halt.

    Raises:
        CommandError: REDIS_URL is invalid, or the choice is ambiguous (USAGE).
    """
    given = load_settings(_EnvironmentSettings)
    if "redis_url" in given.model_fields_set:
        return given.redis_url
    settings, suite = load_settings(_FileSettings), _suite_in_this_folder()
    if suite is None or suite.redis_url is None:
        return settings.redis_url
    if "redis_url" in settings.model_fields_set and _redis_location(
        settings.redis_url
    ) != _redis_location(suite.redis_url):
        raise CommandError(
            ExitCode.USAGE,
            f"`make run` runs here on {suite.redis_url}, and .env or suite.toml names another "
            f"Redis; {SET_REDIS_URL_HINT}",
        )
    return suite.redis_url


def health_urls() -> dict[str, str]:
    """The base URLs of services by name: HEALTH_URLS, else those of the suite in this folder.

    Raises:
        CommandError: a setting is invalid, or several suites run here (USAGE).
    """
    settings = load_settings(TradectlSettings)
    suite = None if "health_urls" in settings.model_fields_set else _suite_in_this_folder()
    return settings.health_urls if suite is None else suite.health_urls


def no_connector_message(redis: Redis) -> str:
    """The message that no connector was ever on this Redis, with a remedy."""
    options: dict[str, Any] = redis.connection_pool.connection_kwargs
    default = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return (
        f"no connector was ever on the Redis at {options.get('path', default)}; "
        "if the suite runs, it is on another: set REDIS_URL"
    )


def _suite_in_this_folder() -> RunningSuite | None:
    """The suite that runs in this folder; None if there is none.

    Raises:
        CommandError: there are several (USAGE).
    """
    suites = find_running_suites(RUNS)
    if len(suites) > 1:
        places = ", ".join(str(run.redis_url or "a Redis it was given") for run in suites)
        raise CommandError(
            ExitCode.USAGE, f"{len(suites)} suites run here: {places}; {SET_REDIS_URL_HINT}"
        )
    return suites[0] if suites else None


def _redis_location(url: str) -> tuple[Any, ...]:
    options = parse_url(url)
    port, database = options.get("port", 6379), options.get("db", 0)
    return options.get("path"), options.get("host"), port, database
