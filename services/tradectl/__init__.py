"""The hand tool: watch, trade and look after the suite from a terminal."""
