"""The risk limits that the bot and the connectors share, with the same names and defaults."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from services._runtime.settings import ServiceSettings


def _amounts(value: str) -> dict[str, Decimal]:
    amounts: dict[str, Decimal] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        asset, _, number = part.partition(":")
        asset = asset.strip().upper()
        try:
            amount = Decimal(number)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not asset.isalnum() or not amount.is_finite() or amount <= 0:
            raise ValueError(
                f"invalid limit {part!r}; expected ASSET:AMOUNT, e.g. USDT:1000,ZAR:20000"
            )
        if asset in amounts:
            raise ValueError(f"{asset} is given twice; expected one limit for each asset")
        amounts[asset] = amount
    return amounts


def _read(value: object) -> object:
    return _amounts(value) if isinstance(value, str) else value


# About 1000 US dollars in each quote asset of Binance and Luno, as a default. Exchange rates
# change: set the limits if the exact value matters.
QUOTES = _amounts(
    "USDT:1000,USDC:1000,FDUSD:1000,TUSD:1000,USD1:1000,DAI:1000,USD:1000,EUR:900,EURI:900,"
    "AEUR:900,ARS:1400000,AUD:1500,BRL:5000,COP:4000000,CZK:20000,GBP:800,IDR:16000000,JPY:150000,"
    "KES:130000,MXN:18000,MYR:4000,NGN:1500000,PLN:3600,RON:4400,SGD:1300,TRY:40000,UAH:40000,"
    "UGX:3600000,ZAR:20000,ZARU:20000,ZMW:25000,BNB:1,BTC:0.01,DOGE:5000,ETH:0.3,SOL:5,TRX:3000,"
    "XBT:0.01,XRP:400"
)


def _scaled(factor: str) -> dict[str, Decimal]:
    return {asset: amount * Decimal(factor) for asset, amount in QUOTES.items()}


# "USDT:1000,ZAR:20000": a maximum amount for each asset.
Amounts = Annotated[dict[str, Decimal], NoDecode, BeforeValidator(_read)]


class RiskSettings(ServiceSettings):
    """The risk limits. An asset that is missing in a limit by asset can't be traded."""

    risk_max_notional: Amounts = Field(default_factory=QUOTES.copy)
    risk_price_collar: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.05")
    risk_orders_per_minute: Annotated[int, Field(ge=1)] = 60
    risk_max_quantity: Amounts = Field(
        default_factory=lambda: _amounts("BTC:0.05,XBT:0.05,ETH:1,SOL:20,XRP:2000")
    )
    risk_max_open_orders: Annotated[int, Field(ge=1)] = 10
    risk_max_position: Amounts = Field(default_factory=lambda: _scaled("5"))
    risk_max_daily_loss: Amounts = Field(default_factory=lambda: _scaled("0.1"))
