"""The settings of the indicator host."""

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
    """Settings of the indicator host; it reads the symbols that the connectors publish."""

    section: ClassVar[str] = "indicators"

    health_port: Port = 8003
    # The approximate length of a value stream; the same as that of a trade stream.
    market_data_maxlen: Annotated[int, Field(ge=1)] = 10_000
    indicators: List = ()
    indicator_plugins: List = ()

    @property
    def markets(self) -> dict[str, tuple[str, ...]]:
        """The slash symbols of each exchange."""
        return watched_symbols(self)
