"""The processes: every folder here is one, unless its name starts with "_"."""

__version__ = "0.2.0"
