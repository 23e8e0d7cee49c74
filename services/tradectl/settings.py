"""What the hand tool is told: the same variables as the services, and where to ask for health."""

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from services._runtime.exchange_settings import CREDENTIALS, with_fields
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import Settings

# Where `make run` and `docker compose up` have them, seen from this machine.
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
            raise ValueError(f"{name}={url} is no service's address; want e.g. {EXAMPLE}")
    return urls


# "bot=http://127.0.0.1:8000,...": where each service answers /ready.
HealthUrls = Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs), AfterValidator(_http)]


@with_fields(CREDENTIALS)
class TradectlSettings(Settings):
    """Of the keys it only looks whether they are there: it never talks to an exchange."""

    section: ClassVar[str] = "tradectl"

    health_urls: HealthUrls = Field(default_factory=lambda: dict(SERVICES))
    live_trading: str = ""
