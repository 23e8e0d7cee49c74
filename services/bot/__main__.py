"""Start the bot: `python -m services.bot`."""

from services._runtime import lifecycle
from services.bot.service import serve
from services.bot.settings import BotSettings

raise SystemExit(lifecycle.run("bot", BotSettings, serve))
