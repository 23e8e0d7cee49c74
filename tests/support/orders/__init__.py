"""The order path: ports in memory, commands, halting, and a connector that trades."""
