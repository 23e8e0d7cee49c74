"""What the simulator is told."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from services._runtime.settings import Port, ServiceSettings, Symbols
from services.exchange_simulator.instruments import INSTRUMENTS, Instrument


class SimulatorSettings(ServiceSettings):
    """Settings of the exchange simulator; it needs no Redis."""

    health_port: Port = 8010
    simulator_host: str = "127.0.0.1"
    simulator_port: Port = 8900
    # Same seed, same market.
    simulator_seed: int = 1
    # Actions a second of each symbol's traders; about a third of them trade. 0: as fast as it can.
    simulator_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 40.0
    # Resting orders a side that the traders keep, about.
    simulator_book_orders: Annotated[int, Field(ge=50, le=200_000)] = 1000
    # Which of the symbols are open; none named: all.
    simulator_symbols: Symbols = ()
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

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments that are open."""
        wanted = set(self.simulator_symbols) or {i.symbol for i in INSTRUMENTS}
        return tuple(i for i in INSTRUMENTS if i.symbol in wanted)
