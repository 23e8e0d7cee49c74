"""The command-line tool: watch, trade and check the suite from a terminal."""
