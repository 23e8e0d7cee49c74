"""`--watch`: the same again and again, drawn over itself on a terminal, below it elsewhere."""

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.live import Live
from rich.text import Text

from services._runtime.redis_client import explain
from services.tradectl.exit_codes import ExitCode
from services.tradectl.output import lost

Work = Callable[[Redis], Awaitable[ExitCode]]


class Page(io.StringIO):
    """What a command prints, held back until all of it is there."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether it will be shown on a terminal: then it has colours."""
        return self._terminal


@dataclass(frozen=True, slots=True)
class PrintedPage:
    """What a command printed at a moment, on stdout and on stderr."""

    at: datetime
    out: str
    err: str


async def watching(redis: Redis, work: Work, seconds: float, *, as_json: bool) -> ExitCode:
    """Do *work* every so many seconds, and show what it prints, until it is interrupted.

    A Redis that goes away later is waited for. Without a terminal it ends where nobody reads it.
    """
    terminal = sys.stdout.isatty() and not as_json and not Console().is_dumb_terminal
    look = await _look(redis, work, terminal=terminal)
    if terminal:
        await _draw(redis, work, look, seconds)
    return await _append(redis, work, look, seconds, as_json=as_json)


async def _draw(redis: Redis, work: Work, look: PrintedPage, seconds: float) -> None:
    """Draw each look over the one before, for ever."""
    console = Console(file=sys.stdout)
    with Live(
        console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:
        console.show_cursor(True)  # should this be killed, the shell has one
        while True:
            head = f"{look.at:%H:%M:%S} UTC, every {seconds:g} s; Ctrl-C ends it"
            page = Text(head + "\n\n", style="dim")
            page.append_text(Text.from_ansi(look.out.rstrip()))
            if look.err:
                page.append("\n\n" + look.err.rstrip(), style="yellow")
            live.update(page, refresh=True)
            await asyncio.sleep(seconds)
            look = await _look_again(redis, work, look, terminal=True)


async def _append(
    redis: Redis, work: Work, look: PrintedPage, seconds: float, *, as_json: bool
) -> ExitCode:
    """Write each look behind the one before; as JSON each is one line."""
    said = ""
    while True:
        if look.err != said:  # not the same warning each time
            said = look.err
            sys.stderr.write(said)
            sys.stderr.flush()
        if as_json and look.out:
            sys.stdout.write(json.dumps(json.loads(look.out)) + "\n")
        elif not as_json:
            sys.stdout.write(f"{look.at:%H:%M:%S} UTC\n\n{look.out}\n")
        sys.stdout.flush()
        if lost():
            return ExitCode.DONE
        await asyncio.sleep(seconds)
        look = await _look_again(redis, work, look, terminal=False)


async def _look(redis: Redis, work: Work, *, terminal: bool) -> PrintedPage:
    out, err = Page(terminal=terminal), Page(terminal=terminal)
    with redirect_stdout(out), redirect_stderr(err):
        await work(redis)
    return PrintedPage(datetime.now(UTC), out.getvalue(), err.getvalue())


async def _look_again(
    redis: Redis, work: Work, before: PrintedPage, *, terminal: bool
) -> PrintedPage:
    """The next look; where Redis is away, the one *before* on a terminal, and why."""
    try:
        return await _look(redis, work, terminal=terminal)
    except (RedisError, OSError) as e:
        out = before.out if terminal else ""
        return PrintedPage(before.at, out, f"{explain(e)}; it is tried again\n")
