"""Frames recorded from Luno: `make test-luno-frames LUNO_FRAMES=FILE`."""

from pathlib import Path

from tests.support.market_data.luno_frames import check_frames


async def test_every_luno_frame_is_understood(luno_frames: Path) -> None:
    """Snapshots, updates, keep-alives, errors, and the row of a market."""
    kinds = check_frames(luno_frames)
    assert kinds["snapshot"], f"no snapshot in {luno_frames}"
    assert kinds["update"], f"no update in {luno_frames}"
