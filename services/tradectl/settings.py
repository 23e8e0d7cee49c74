"""The settings of tradectl: the variables of the services, and the URLs of their health servers."""

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from services._runtime.exchange_settings import CREDENTIALS, with_fields
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import Settings

# The addresses that `make run` and `docker compose up` use, as seen from this machine.
SERVICES = {
    "bot": "http://127.0.0.1:8000",
    **{each.connector: f"http://127.0.0.1:{each.health_port}" for each in MANIFESTS.values()},
    "indicators": "http://127.0.0.1:8003",
    "exchange_simulator": "http://127.0.0.1:8010",
}
EXAMPLE = "bot=http://127.0.0.1:8000,binance_connector=http://127.0.0.1:8001"


def _pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, _, url = part.partition("=")
        found[name.strip()] = url.strip().rstrip("/")
    return found


def _http(urls: dict[str, str]) -> dict[str, str]:
    for name, url in urls.items():
        parts = urlsplit(url)
        if not name or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{name}={url}: invalid address of a service; expected e.g. {EXAMPLE}")
    return urls


# `name=url` pairs, separated by commas: the base URL at which each service serves /ready.
HealthUrls = Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs), AfterValidator(_http)]


@with_fields(CREDENTIALS)
class TradectlSettings(Settings):
    """It only checks whether the API keys are set; tradectl never connects to an exchange."""

    section: ClassVar[str] = "tradectl"

    health_urls: HealthUrls = Field(default_factory=lambda: dict(SERVICES))
    live_trading: str = ""
