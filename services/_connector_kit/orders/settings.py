"""The settings of trading that all connectors share."""

import socket
from typing import Annotated, Self

from pydantic import Field, model_validator

from services._connector_kit.settings import ConnectorSettings
from services._runtime.risk_settings import RiskSettings

LIVE = "yes-i-mean-it"


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TradingSettings(RiskSettings, ConnectorSettings):
    """Switches, limits and timings of the order path. Durations are in seconds."""

    live_trading: str = ""
    order_command_max_age: Seconds = 10.0
    reconcile_interval: Seconds = 30.0
    # Each connector has the upper limit of its exchange.
    order_validity: Annotated[float, Field(ge=0.1, allow_inf_nan=False)] = 5.0
    order_resolve_margin: Seconds = 15.0
    order_missed_for: Seconds = 10.0
    order_settle: Seconds = 3.0
    # Renewed between two blocking reads of 2 s each; a shorter lease would expire while in use.
    order_lease: Annotated[float, Field(ge=3, allow_inf_nan=False)] = 10.0
    order_take_over_after: Seconds = 60.0
    # 0: off. The bot writes its heartbeat once a second.
    dead_man_switch: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    instance_id: Annotated[str, Field(min_length=1)] = Field(default_factory=socket.gethostname)
    # Of all writers together; None: the limit of one writer applies to all.
    risk_orders_per_minute_total: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def first_orders_can_leave(self) -> Self:
        """On a new Redis the first orders wait; they must not expire meanwhile."""
        wait = self.order_validity + self.order_settle
        if self.order_command_max_age <= wait:
            raise ValueError(
                f"ORDER_COMMAND_MAX_AGE: {self.order_command_max_age:g} s, but on a new Redis the "
                f"first orders wait for {wait:g} s and would all expire; "
                "expected more than ORDER_VALIDITY + ORDER_SETTLE"
            )
        return self

    @model_validator(mode="after")
    def entries_are_not_taken_over_while_handled(self) -> Self:
        """Resolving an order must end before another instance takes its entry over."""
        handling = self.order_validity + self.order_resolve_margin + self.order_missed_for
        if self.order_take_over_after <= handling:
            raise ValueError(
                f"ORDER_TAKE_OVER_AFTER: {self.order_take_over_after:g} s, but resolving "
                f"an order may take {handling:g} s; "
                "expected more than ORDER_VALIDITY + ORDER_RESOLVE_MARGIN + ORDER_MISSED_FOR"
            )
        return self
