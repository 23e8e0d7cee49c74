"""Logs: one JSON object a line, the service in each, and no secrets from tracebacks."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services._runtime import logs, redaction

SECRET = "hunter2-canary"


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the logs go; the process's logging is as before afterwards."""
    root, own = logging.getLogger(), logging.getLogger("bot")
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(logging.NOTSET)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    redaction.register_secrets(())


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Each line parsed: a line that isn't JSON fails."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(key: str) -> None:
    """Raise with the secret in a local variable, as signing code would."""
    signed = key.encode().hex()
    raise ValueError(f"signature of {len(signed)} characters refused")


def test_each_event_is_a_json_line_with_service_level_and_time(stream: io.StringIO) -> None:
    """What is not a terminal gets JSON."""
    logs.configure("bot", "info", stream=stream)
    structlog.get_logger().info("trade_seen", price=1.5)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "trade_seen", "level": "info", "price": 1.5, "service": "bot"}


def test_a_terminal_gets_lines_for_people(stream: io.StringIO) -> None:
    """No JSON, and no local variables in tracebacks either."""
    terminal = Terminal()
    logs.configure("bot", "info", stream=terminal)
    try:
        fail(SECRET)
    except ValueError:
        structlog.get_logger().exception("order_failed")
    shown = terminal.getvalue()
    assert "order_failed" in shown
    assert "ValueError" in shown
    assert not shown.startswith("{")
    assert SECRET not in shown
    assert SECRET.encode().hex() not in shown


def test_bound_context_stands_in_each_line(stream: io.StringIO) -> None:
    """A task's context variables are merged into what it logs."""
    logs.configure("bot", "info", stream=stream)
    with structlog.contextvars.bound_contextvars(symbol="BTC/USDT"):
        structlog.get_logger().info("one")
        logging.getLogger("aiohttp").warning("two")
    assert [line["symbol"] for line in lines(stream)] == ["BTC/USDT"] * 2


async def test_lines_from_threads_name_the_service_too(stream: io.StringIO) -> None:
    """An executor's thread has no context of ours."""
    logs.configure("bot", "info", stream=stream)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, structlog.get_logger().info, "from_a_thread")
    assert lines(stream)[0]["service"] == "bot"


def test_an_exceptions_traceback_has_no_local_variables(stream: io.StringIO) -> None:
    """They may hold keys: neither ours nor a library's log shows one."""
    logs.configure("bot", "info", stream=stream)
    try:
        fail(SECRET)
    except ValueError:
        structlog.get_logger().exception("order_failed")
        logging.getLogger("aiohttp").exception("order failed")
    own, foreign = lines(stream)
    for line in (own, foreign):
        assert line["exception"][0]["exc_type"] == "ValueError"
        assert line["exception"][0]["frames"]
    assert SECRET not in stream.getvalue()
    assert SECRET.encode().hex() not in stream.getvalue()


def test_levels_below_the_chosen_one_are_left_out(stream: io.StringIO) -> None:
    """LOG_LEVEL is the least that is written."""
    logs.configure("bot", "warning", stream=stream)
    log = structlog.get_logger()
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


@pytest.mark.parametrize("library", ["binance", "urllib3.connectionpool", "anything.new"])
def test_libraries_log_from_level_warning_up(library: str, stream: io.StringIO) -> None:
    """Their info lines repeat URLs, which may be signed, at whatever level we log ourselves."""
    logs.configure("bot", "debug", stream=stream)
    logger = logging.getLogger(library)
    logger.debug("GET /order?signature=%s", SECRET)
    logger.info("GET /order?signature=%s", SECRET)
    logger.warning("pool is full")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["service"]) == ("pool is full", "warning", "bot")


def test_a_secret_that_came_into_a_line_is_hidden(stream: io.StringIO) -> None:
    """In a value, an exception's text, and a library's warning, and where a long text is cut."""
    redaction.register_secrets([SECRET])
    logs.configure("bot", "info", stream=stream)
    structlog.get_logger().info("refused", error=f"bad key {SECRET}", long="x" * 1995 + SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        structlog.get_logger().exception("order_failed")
    logging.getLogger("aiohttp").warning("bad header %s", SECRET)
    assert len(lines(stream)) == 3
    assert stream.getvalue().count(redaction.REDACTED) == 3
    assert SECRET[:6] not in stream.getvalue()


def test_a_long_text_is_cut(stream: io.StringIO) -> None:
    """Wherever in the line it stands; its length is told."""
    logs.configure("bot", "info", stream=stream)
    structlog.get_logger().info("refused", error="x" * 1_000_000, list=["y" * 1_000_000, 1])
    (line,) = lines(stream)
    assert line["error"] == "x" * logs.MAX_VALUE_LENGTH + "... (1000000 characters)"
    assert line["list"][0].endswith("... (1000000 characters)")
    assert line["list"][1] == 1


def test_no_text_steers_a_terminal(stream: io.StringIO) -> None:
    """What a terminal would obey is spelled out."""
    terminal = Terminal()
    logs.configure("bot", "info", stream=terminal)
    structlog.get_logger().info("order_outcome_unknown", client_order_id="\x1b[2J\x07a")
    assert "\\x1b[2J\\x07a" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
