"""The commands, their options, and the help that teaches them; one module for each group."""
