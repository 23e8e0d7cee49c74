"""Start the exchange simulator: `python -m services.exchange_simulator`."""

from services._runtime import lifecycle
from services.exchange_simulator.service import serve
from services.exchange_simulator.settings import SimulatorSettings

raise SystemExit(lifecycle.run("exchange_simulator", SimulatorSettings, serve))
