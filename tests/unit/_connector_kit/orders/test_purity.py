"""The order core has no clock, chance or sleep of its own, or it could not be simulated."""

import ast
from pathlib import Path

import pytest

import services._connector_kit.orders as package

CORE = (
    "commands/answers",
    "commands/data_loss",
    "commands/parse",
    "commands/place_order_consumer",
    "execution/late_order_watch",
    "execution/order_executor",
    "execution/record",
    "ports",
)
# What of asyncio and datetime reads a clock, or waits by one.
FORBIDDEN = {"sleep", "timeout", "timeout_at", "wait_for", "now", "utcnow", "today"}
ALLOWED_ON = {"clock", "_clock"}


@pytest.mark.parametrize("module", CORE)
def test_the_core_waits_and_reads_the_time_through_its_ports_only(module: str) -> None:
    """Each `sleep` is the clock port's, and nothing asks what time it is."""
    source = (Path(package.__path__[0]) / f"{module}.py").read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN:
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            assert name in ALLOWED_ON, f"{module}.py:{node.lineno}: {name}.{node.attr}"
