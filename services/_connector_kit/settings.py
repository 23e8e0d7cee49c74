"""The settings that every connector has."""

from typing import Annotated

from pydantic import AfterValidator, Field

from services._runtime.settings import ServiceSettings, Symbols
from services._runtime.urls import proxy_for, proxy_url


def _at_least_one(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if not symbols:
        raise ValueError("names no symbol; expected at least one, e.g. BTC/USDT,ETH/USDT")
    return symbols


# A connector without a symbol would be ready and do nothing.
SomeSymbols = Annotated[Symbols, AfterValidator(_at_least_one)]


class ConnectorSettings(ServiceSettings):
    """Settings that mean the same for every exchange. Durations are in seconds."""

    order_book_depth: Annotated[int, Field(ge=1, le=1000)] = 20
    order_book_interval: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    market_data_maxlen: Annotated[int, Field(ge=1)] = 10_000
    events_maxlen: Annotated[int, Field(ge=1)] = 100_000
    book_audit_interval: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    # A company's way out, by the names that other programs know too.
    https_proxy: Annotated[str, AfterValidator(proxy_url), Field(repr=False)] = ""
    no_proxy: str = ""

    def proxy_for(self, url: str) -> str | None:
        """The proxy by which an exchange's URL is reached; None where by none."""
        return proxy_for(url, self.https_proxy, self.no_proxy)
