"""The processes: every folder here is one, unless its name starts with "_"."""
