"""What the indicator host is told."""

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from services._runtime.exchange_settings import SYMBOLS, watched_symbols, with_fields
from services._runtime.settings import Port, ServiceSettings


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


List = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


@with_fields(SYMBOLS)
class IndicatorSettings(ServiceSettings):
    """It reads the same symbols as the connectors write, under the same names."""

    section: ClassVar[str] = "indicators"

    health_port: Port = 8003
    # About how many values a stream keeps: as many as there are trades.
    market_data_maxlen: Annotated[int, Field(ge=1)] = 10_000
    indicators: List = ()
    indicator_plugins: List = ()

    @property
    def markets(self) -> dict[str, tuple[str, ...]]:
        """The slash symbols of each exchange."""
        return watched_symbols(self)
