"""Start the Luno connector: `python -m services.luno_connector`."""

from services._runtime import lifecycle
from services.luno_connector.service import serve
from services.luno_connector.settings import LunoSettings

raise SystemExit(lifecycle.run("luno_connector", LunoSettings, serve))
