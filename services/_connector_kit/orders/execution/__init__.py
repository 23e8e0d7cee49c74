"""Executes one order from its claim to its final answer."""
