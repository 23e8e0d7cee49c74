"""Start the indicator host: `python -m services.indicators`."""

from services._runtime import lifecycle
from services.indicators.service import serve
from services.indicators.settings import IndicatorSettings

raise SystemExit(lifecycle.run("indicators", IndicatorSettings, serve))
