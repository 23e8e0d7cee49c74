"""The Luno connector's settings."""

from configparser import ConfigParser
from configparser import Error as ConfigError
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from services._connector_kit.orders.settings import TradingSettings
from services._connector_kit.settings import SomeSymbols
from services._runtime.exchanges import MANIFESTS
from services._runtime.settings import ApiKey, HttpUrl, Port, WebSocketUrl, api_key
from services._runtime.text_sanitizing import strip_pasted_characters

LUNO = MANIFESTS["luno"]
CONFIG_FILE = Path("config.cfg")
# Luno's codes of a refused key: https://www.luno.com/en/developers/api.
KEY_REFUSED = frozenset({"ErrUnauthorised", "ErrApiKeyRevoked", "ErrInsufficientPerms"})
# What to check then: Luno's 401 doesn't name the cause.
KEY_HELP = (
    "check LUNO_API_KEY_ID and LUNO_API_SECRET_KEY: both whole, of a key that isn't revoked, with "
    "this machine's address on its IP list, and Perm_R_Balance, Perm_R_Orders and Perm_W_Orders"
)


def _accounts(value: object) -> object:
    if not isinstance(value, str):
        return value
    accounts: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        asset, _, number = (word.strip() for word in part.partition(":"))
        if not asset.isalnum() or not (number.isascii() and number.isdecimal()):
            raise ValueError(
                f"{part!r} names no account; expected ASSET:NUMBER, e.g. XBT:4711,ZAR:4712"
            )
        if asset.upper() in accounts:
            raise ValueError(f"{asset} stands there twice; expected one account for each asset")
        accounts[asset.upper()] = number
    return accounts


class LunoSettings(TradingSettings):
    """Luno has no testnet: live and simulator differ in the two URLs only."""

    section: ClassVar[str] = "luno_connector"

    health_port: Port = LUNO.health_port
    luno_symbols: SomeSymbols = LUNO.symbols
    luno_api_key_id: ApiKey = None
    luno_api_secret_key: ApiKey = None
    luno_rest_url: HttpUrl = LUNO.live_url("LUNO_REST_URL")
    luno_stream_url: WebSocketUrl = LUNO.live_url("LUNO_STREAM_URL")
    order_validity: Annotated[float, Field(ge=0.1, le=LUNO.longest_order_validity)] = 5.0
    # The accounts to trade with, of assets that have several.
    luno_accounts: Annotated[dict[str, str], NoDecode, BeforeValidator(_accounts)] = Field(
        default_factory=dict
    )
    # How far beyond the price that the book asks for a market buy may go, as a share of it.
    luno_market_buy_slippage: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.01")

    @model_validator(mode="before")
    @classmethod
    def key_from_config_file(cls, values: dict[str, object]) -> dict[str, object]:
        """Without a key in the environment, `config.cfg` may have one, under `[luno]`."""
        given = (values.get("luno_api_key_id"), values.get("luno_api_secret_key"))
        if any(
            strip_pasted_characters(value) if isinstance(value, str) else value for value in given
        ):
            return values
        return {**values, **_keys_of(CONFIG_FILE)}

    @model_validator(mode="after")
    def both_or_neither(self) -> Self:
        """Half a key is a mistake."""
        if (self.luno_api_key_id is None) != (self.luno_api_secret_key is None):
            raise ValueError(
                "LUNO_API_KEY_ID and LUNO_API_SECRET_KEY: only one is set; expected both or neither"
            )
        return self


def _keys_of(path: Path) -> dict[str, object]:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, ConfigError) as e:
        raise ValueError(
            f"{path}: can't be read ({e.__class__.__name__}); "
            "expected an INI file with api_key_id and api_secret_key under [luno]"
        ) from None
    if not parser.has_section("luno"):
        return {}
    found = {
        name: strip_pasted_characters(parser["luno"].get(name, ""))
        for name in ("api_key_id", "api_secret_key")
    }
    for name, value in found.items():
        try:
            api_key(value)
        except ValueError as e:
            raise ValueError(f"{path}: {name} {e}") from None
    return {f"luno_{name}": value for name, value in found.items() if value}
