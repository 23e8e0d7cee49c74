"""Bad frames are counted, and shown now and then."""

from structlog.testing import capture_logs

from services._connector_kit.frames import SHOW_EVERY, SHOWN, BadFrames
from services._connector_kit.venue_stats import SocketStats


def test_every_bad_frame_counts_and_one_each_half_minute_is_shown() -> None:
    """A venue that sends nothing but rubbish doesn't flood the log."""
    now = 1000.0
    stats = SocketStats()
    frames = BadFrames("binance", stats, clock=lambda: now)
    with capture_logs() as logs:
        for _ in range(500):
            frames.add(b"rubbish", ValueError("no JSON"))
        now += SHOW_EVERY
        frames.add(b"rubbish", ValueError("no JSON"))
    assert frames.count == stats.bad_frames == 501
    assert [(line["event"], line["count"]) for line in logs] == [
        ("bad_frame", 1),
        ("bad_frame", 501),
    ]


def test_a_frame_is_shown_cut_short_whatever_its_bytes_are() -> None:
    """A megabyte of broken UTF-8 becomes a line that a person can read."""
    with capture_logs() as logs:
        BadFrames("luno").add(b"\xff\xfe" * 500_000, ValueError("x" * 10_000))
    assert len(logs[0]["frame"]) <= SHOWN
    assert len(logs[0]["error"]) <= SHOWN
