"""The order path: at most one venue order per command, and one final answer for each."""
