"""What a person sees of five processes' logs: the summaries, and what went wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from services._local.processes import ManagedProcess
from services._local.terminal import LogTail, shown, usage_hints

SUMMARY: dict[str, Any] = {
    "event": "market_summary",
    "level": "info",
    "timestamp": "2026-01-02T03:04:05.6Z",
    "fresh": 1,
    "of": 2,
    "stale": ["luno:XBTZAR:trades"],
    "malformed": 0,
    "gaps": 0,
    "streams": {
        "luno:XBTZAR:ticker": {
            "age": 0.26,
            "entries": 7,
            "last_price": 1407173.0,
            "bid": 1407078.5,
            "ask": 1407173.0,
        },
        "luno:XBTZAR:trades": {"age": None, "entries": 0},
    },
}


def line(event: str, level: str, **fields: object) -> str:
    """A line as a service logs it."""
    return json.dumps({"event": event, "level": level, "service": "x", **fields})


def test_a_summary_is_shown_as_a_table() -> None:
    """What is stale stands out."""
    assert shown("bot", json.dumps(SUMMARY)) == (
        "03:04:05 1 of 2 market streams are fresh\n"
        "  luno:XBTZAR:ticker           0.3 s ago       7 new  "
        "last 1,407,173  bid 1,407,078.5  ask 1,407,173\n"
        "  luno:XBTZAR:trades               never       0 new    STALE"
    )


def test_trouble_in_the_data_stands_in_the_summary() -> None:
    """Malformed entries and gaps are named once there are any."""
    text = shown("bot", json.dumps({**SUMMARY, "malformed": 3, "gaps": 1}))
    assert text is not None
    assert text.startswith("03:04:05 1 of 2 market streams are fresh; 3 malformed entries, 1 gaps")


def test_warnings_are_shown_and_information_is_not() -> None:
    """With their fields, cut short."""
    assert shown("bot", line("part_ready", "info", part="redis")) is None
    assert shown("bot", line("dropped", "warning", stream="s" * 500, drops=1)) == (
        f"bot: warning: dropped stream={'s' * 120}... drops=1"
    )


def test_other_output_than_log_lines_is_shown_unchanged() -> None:
    """A settings error, or a crash of the interpreter."""
    assert shown("bot", "bot: settings: REDIS_URL: can't be parsed") is not None
    assert shown("bot", "  ") is None


def test_the_tail_shows_whole_lines_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that is still being written waits for its end."""
    log = tmp_path / "bot.log"
    tail = LogTail("bot", log)
    tail.show()
    with log.open("w") as out:
        for text in ("one\ntw", "o\nth"):
            out.write(text)
            out.flush()
            tail.show()
    tail.show()
    assert capsys.readouterr().out.splitlines() == ["bot: one", "bot: two"]


def test_the_line_of_code_that_failed_and_the_log_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a plugin's exception the innermost line; the log has the rest."""
    log = tmp_path / "bot.log"
    frames = [
        {"filename": "/host.py", "lineno": 31, "name": "tell"},
        {"filename": "/home/me/plugins/dip.py", "lineno": 7, "name": "on_trade"},
    ]
    raised = {"exc_type": "KeyError", "exc_value": "'price'", "frames": frames}
    log.write_text(line("strategy_stopped", "error", where="on_trade", exception=[raised]) + "\n")
    LogTail("bot", log).show()
    assert capsys.readouterr().out.splitlines() == [
        "bot: error: strategy_stopped where=on_trade",
        f"  KeyError: 'price', at /home/me/plugins/dip.py:7; full traceback: {log}",
    ]


def test_what_a_stopping_part_warns_of_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But its errors are."""
    log = tmp_path / "bot.log"
    events = [("before", "warning"), ("service_stopping", "info"), ("gone", "warning")]
    log.write_text("".join(line(*event) + "\n" for event in [*events, ("bad", "error")]))
    LogTail("bot", log).show()
    assert capsys.readouterr().out.splitlines() == ["bot: warning: before", "bot: error: bad"]


def test_the_bots_decisions_are_shown_as_a_person_says_them() -> None:
    """What was sent, refused and filled; the steps between are for the file."""
    given = {"strategy": "dip:binance:BTC/USDT", "side": "buy", "quantity": 0.001}

    def said(**more: object) -> str | None:
        record = {"timestamp": "2026-01-02T03:04:05Z", "event": "decision", "level": "info"}
        return shown("bot", json.dumps({**record, **given, **more}))

    sent = said(outcome="sent", reason="low")
    assert sent == "03:04:05 dip:binance:BTC/USDT: buy 0.001, sent: low"
    refused = said(outcome="refused", refusal="halted")
    assert refused == "03:04:05 dip:binance:BTC/USDT: buy 0.001, refused: halted"
    filled = said(outcome="updated", order_status="filled", average_price=64252.25)
    assert filled == "03:04:05 dip:binance:BTC/USDT: buy 0.001, filled at 64,252.25"
    assert said(outcome="answered", order_status="accepted") is None


def test_how_to_look_names_the_logs_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder below the one that `make run` was called in; elsewhere its whole path."""
    monkeypatch.chdir(tmp_path)
    part = ManagedProcess("bot", 8000, tmp_path)
    below = usage_hints("Ready", "redis-cli", "x", [part], tmp_path / ".data" / "run-1")
    assert "http://127.0.0.1:8000/ready  bot, process None" in below
    assert "\n    .data/run-1\n" in below
    assert "\n    /elsewhere\n" in usage_hints("Ready", "redis-cli", "x", [], Path("/elsewhere"))
