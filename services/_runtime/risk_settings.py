"""The limits of risk that the bot and the connectors share: same names, same defaults."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from services._runtime.settings import ServiceSettings


def _amounts(value: object) -> object:
    if not isinstance(value, str):
        return value
    amounts: dict[str, Decimal] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        asset, _, number = part.partition(":")
        asset = asset.strip().upper()
        try:
            amount = Decimal(number)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not asset.isalnum() or not amount.is_finite() or amount <= 0:
            raise ValueError(f"{part!r} is no limit; want ASSET:AMOUNT, e.g. USDT:1000,ZAR:20000")
        if asset in amounts:
            raise ValueError(f"{asset} stands there twice; want one limit for each asset")
        amounts[asset] = amount
    return amounts


def _of(**amounts: int | str) -> dict[str, Decimal]:
    return {asset: Decimal(amount) for asset, amount in amounts.items()}


# "USDT:1000,ZAR:20000": a largest amount for each asset.
Amounts = Annotated[dict[str, Decimal], NoDecode, BeforeValidator(_amounts)]


class RiskSettings(ServiceSettings):
    """What may be risked. An asset that a limit by asset doesn't name can't be traded."""

    risk_max_notional: Amounts = Field(default_factory=lambda: _of(USDT=1000, ZAR=20000))
    risk_price_collar: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.05")
    risk_orders_per_minute: Annotated[int, Field(ge=1)] = 60
    risk_max_quantity: Amounts = Field(
        default_factory=lambda: _of(BTC="0.05", XBT="0.05", ETH=1, SOL=20, XRP=2000)
    )
    risk_max_open_orders: Annotated[int, Field(ge=1)] = 10
    risk_max_position: Amounts = Field(default_factory=lambda: _of(USDT=5000, ZAR=100_000))
    risk_max_daily_loss: Amounts = Field(default_factory=lambda: _of(USDT=100, ZAR=2000))
