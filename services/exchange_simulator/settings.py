"""What the simulator is told."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from services._runtime.settings import Port, ServiceSettings, Symbols
from services.exchange_simulator.account_order import AMOUNT_SCALE
from services.exchange_simulator.instruments import INSTRUMENTS, SimulatedInstrument, whole

# What each account begins with.
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


# As fast as it can: for phases, so many actions count as a second.
FULL_SPEED = 40.0


class SimulatorSettings(ServiceSettings):
    """Settings of the exchange simulator; it needs no Redis."""

    section: ClassVar[str] = "exchange_simulator"

    health_port: Port = 8010
    simulator_host: str = "127.0.0.1"
    simulator_port: Port = 8900
    # Same seed, same market. `random`: one that is drawn at the start, and logged.
    simulator_seed: int | Literal["random"] = 1
    # How long a trend or a range lasts on average, in seconds; 0: there are none, prices wander.
    simulator_phase: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    # Actions a second of each symbol's traders; about a third of them trade. 0: as fast as it can.
    simulator_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 40.0
    # Resting orders a side that the traders keep, about.
    simulator_book_orders: Annotated[int, Field(ge=50, le=100_000)] = 1000
    # Which of the symbols are open; none named: all.
    simulator_symbols: Symbols = ()
    # The first id of each market's trades, orders and updates; without it they count up from the
    # start time, so that no restart uses one again.
    simulator_first_id: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    # What the accounts begin with, where it isn't the default: "USDT:1000,BTC:0".
    simulator_funds: str = ""
    # Where accounts and orders outlive a restart; without it they begin anew.
    simulator_state_file: Path | None = None
    simulator_binance_api_key: str = "simulator-key"
    simulator_binance_api_secret: SecretStr = SecretStr("simulator-secret")
    # A key that may withdraw, to see what becomes of it.
    simulator_binance_key_withdraws: bool = False
    simulator_luno_api_key_id: str = "simulator-key"
    simulator_luno_api_secret_key: SecretStr = SecretStr("simulator-secret")

    @model_validator(mode="after")
    def _known_symbols(self) -> Self:
        known = [instrument.symbol for instrument in INSTRUMENTS]
        unknown = sorted(set(self.simulator_symbols) - set(known))
        if unknown:
            raise ValueError(
                f"SIMULATOR_SYMBOLS={','.join(unknown)}: not simulated; want some of "
                f"{','.join(known)}, or nothing for all"
            )
        return self

    @model_validator(mode="after")
    def _readable_funds(self) -> Self:
        self.funds  # noqa: B018 - reading them is the check
        return self

    @property
    def funds(self) -> dict[str, int]:
        """What the accounts begin with, in 1e-8 by asset; each venue takes its own assets."""
        funds = {asset: whole(amount, AMOUNT_SCALE) for asset, amount in FUNDS.items()}
        for part in filter(None, self.simulator_funds.replace(" ", "").split(",")):
            asset, _, amount = part.partition(":")
            try:
                value = whole(amount, AMOUNT_SCALE)
            except ValueError:
                value = -1
            if asset not in FUNDS or value < 0:
                raise ValueError(
                    f"SIMULATOR_FUNDS={self.simulator_funds}: {part!r} isn't one; want e.g. "
                    f"USDT:1000,BTC:0.5 of {','.join(FUNDS)}, 8 decimals at most"
                )
            funds[asset] = value
        return funds

    @property
    def phase_actions(self) -> int | None:
        """How many actions of its traders a trend or a range of a market lasts; None: no phases."""
        actions_per_second = self.simulator_rate or FULL_SPEED
        return (
            max(round(self.simulator_phase * actions_per_second), 1)
            if self.simulator_phase
            else None
        )

    @property
    def instruments(self) -> tuple[SimulatedInstrument, ...]:
        """The instruments that are open."""
        wanted = set(self.simulator_symbols) or {i.symbol for i in INSTRUMENTS}
        return tuple(i for i in INSTRUMENTS if i.symbol in wanted)
