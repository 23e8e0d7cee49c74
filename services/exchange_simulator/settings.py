"""The settings of the simulator."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from services._runtime.settings import Port, ServiceSettings, Symbols
from services.exchange_simulator.account_order import AMOUNT_SCALE
from services.exchange_simulator.instruments import INSTRUMENTS, SimulatedInstrument, whole

# The initial balances of each account.
FUNDS = {
    "USDT": "1000000",
    "BTC": "10",
    "ETH": "200",
    "SOL": "5000",
    "XRP": "1000000",
    "BNB": "0",
    "ZAR": "20000000",
    "XBT": "10",
}


# With rate 0 (as fast as possible), this number of actions counts as a second of a phase.
FULL_SPEED = 40.0


class SimulatorSettings(ServiceSettings):
    """Settings of the exchange simulator; it needs no Redis."""

    section: ClassVar[str] = "exchange_simulator"

    health_port: Port = 8010
    simulator_host: str = "127.0.0.1"
    simulator_port: Port = 8900
    # The same seed gives the same market. `random`: drawn at the start, and logged.
    simulator_seed: int | Literal["random"] = 1
    # Average length of a trend or a range, in seconds; 0: no phases, a random walk.
    simulator_phase: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    # Actions a second of each symbol's traders; about a third of them trade. 0: no limit.
    simulator_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 40.0
    # Approximate number of resting orders that the traders keep on each side.
    simulator_book_orders: Annotated[int, Field(ge=50, le=100_000)] = 1000
    # The open symbols; empty: all.
    simulator_symbols: Symbols = ()
    # The first id of each market's trades, orders and updates; by default ids count up from the
    # start time, so that a restart reuses none.
    simulator_first_id: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    # Initial balances that differ from the default: "USDT:1000,BTC:0".
    simulator_funds: str = ""
    # The file that keeps accounts and orders across restarts; without it each run starts fresh.
    simulator_state_file: Path | None = None
    simulator_binance_api_key: str = "simulator-key"
    simulator_binance_api_secret: SecretStr = SecretStr("simulator-secret")
    # Whether the key may withdraw: connectors must refuse such a key.
    simulator_binance_key_withdraws: bool = False
    simulator_luno_api_key_id: str = "simulator-key"
    simulator_luno_api_secret_key: SecretStr = SecretStr("simulator-secret")

    @model_validator(mode="after")
    def _known_symbols(self) -> Self:
        known = [instrument.symbol for instrument in INSTRUMENTS]
        unknown = sorted(set(self.simulator_symbols) - set(known))
        if unknown:
            raise ValueError(
                f"SIMULATOR_SYMBOLS={','.join(unknown)}: not simulated; expected some of "
                f"{','.join(known)}, or nothing for all"
            )
        return self

    @model_validator(mode="after")
    def _readable_funds(self) -> Self:
        self.funds  # noqa: B018 - parsing them is the check
        return self

    @property
    def funds(self) -> dict[str, int]:
        """The initial balances in 1e-8 by asset; each venue uses its own assets.

        Raises:
            ValueError: `simulator_funds` isn't a list of known assets and amounts.
        """
        funds = {asset: whole(amount, AMOUNT_SCALE) for asset, amount in FUNDS.items()}
        for part in filter(None, self.simulator_funds.replace(" ", "").split(",")):
            asset, _, amount = part.partition(":")
            try:
                value = whole(amount, AMOUNT_SCALE)
            except ValueError:
                value = -1
            if asset not in FUNDS or value < 0:
                raise ValueError(
                    f"SIMULATOR_FUNDS={self.simulator_funds}: {part!r} is invalid; expected a "
                    f"list like USDT:1000,BTC:0.5 of {','.join(FUNDS)}, at most 8 decimals"
                )
            funds[asset] = value
        return funds

    @property
    def phase_actions(self) -> int | None:
        """The average length of a trend or a range in actions of the traders; None: no phases."""
        actions_per_second = self.simulator_rate or FULL_SPEED
        return (
            max(round(self.simulator_phase * actions_per_second), 1)
            if self.simulator_phase
            else None
        )

    @property
    def instruments(self) -> tuple[SimulatedInstrument, ...]:
        """The instruments of the open symbols."""
        wanted = set(self.simulator_symbols) or {i.symbol for i in INSTRUMENTS}
        return tuple(i for i in INSTRUMENTS if i.symbol in wanted)
