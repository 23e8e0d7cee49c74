"""The bot: reads what the connectors publish, and decides."""
