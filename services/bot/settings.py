"""The settings of the bot."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from services._runtime.exchange_settings import SYMBOLS, watched_symbols, with_fields
from services._runtime.exchanges import MANIFESTS
from services._runtime.risk_settings import RiskSettings

LIVE = "yes-i-mean-it"

Mode = Literal["observe", "paper", "live"]


def _entries(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# The longest of all exchanges; each connector enforces its own.
LONGEST_ORDER_VALIDITY = max(each.longest_order_validity for each in MANIFESTS.values())

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Entries = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_entries)]


@with_fields(SYMBOLS)
class BotSettings(RiskSettings):
    """Settings of the bot; it watches the same symbols as the connectors.

    Limits and delays with the names of the connector's settings must have the same values.
    Durations are in seconds.
    """

    section: ClassVar[str] = "bot"

    events_maxlen: Annotated[int, Field(ge=1)] = 100_000
    strategies: Entries = ()
    bot_mode: Annotated[Mode, BeforeValidator(_lower)] = "observe"
    live_trading: str = ""
    bot_indicator_max_age: Seconds = 10.0
    bot_decision_max_age: Seconds = 5.0
    # The connector's settings: together the longest time until it knows an order's outcome.
    order_command_max_age: Seconds = 10.0
    order_validity: Annotated[float, Field(ge=0.1, le=LONGEST_ORDER_VALIDITY)] = 5.0
    order_resolve_margin: Seconds = 15.0
    order_missed_for: Seconds = 10.0

    @property
    def markets(self) -> dict[str, tuple[str, ...]]:
        """The slash symbols of each exchange."""
        return watched_symbols(self)

    @model_validator(mode="after")
    def live_is_meant(self) -> Self:
        """Real-money orders need both switches."""
        if self.bot_mode == "live" and self.live_trading != LIVE:
            raise ValueError(
                f"BOT_MODE=live places real-money orders: LIVE_TRADING={LIVE} is required; "
                "BOT_MODE=paper trades on a simulator or a testnet"
            )
        return self
