"""`--watch`: repeats a command; on a terminal it redraws in place, elsewhere it appends."""

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
from services.tradectl.output import output_error

Command = Callable[[Redis], Awaitable[ExitCode]]


class Page(io.StringIO):
    """Buffers what a command prints until it is complete."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether it will be shown on a terminal, with colours."""
        return self._terminal


@dataclass(frozen=True, slots=True)
class PrintedPage:
    """What a command printed on stdout and on stderr, and when."""

    at: datetime
    out: str
    err: str


async def watching(redis: Redis, work: Command, seconds: float, *, as_json: bool) -> ExitCode:
    """Run *work* every *seconds* and show its output, until interrupted.

    Later Redis errors are shown, and the command is retried. Without a terminal it ends once
    stdout is closed.
    """
    terminal = sys.stdout.isatty() and not as_json and not Console().is_dumb_terminal
    page = await _run_once(redis, work, terminal=terminal)
    if terminal:
        await _draw(redis, work, page, seconds)
    return await _append(redis, work, page, seconds, as_json=as_json)


async def _draw(redis: Redis, work: Command, page: PrintedPage, seconds: float) -> None:
    """Draw each page over the previous one, for ever."""
    console = Console(file=sys.stdout)
    with Live(
        console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:
        console.show_cursor(True)  # if this process is killed, the shell still has a cursor
        while True:
            head = f"{page.at:%H:%M:%S} UTC, every {seconds:g} s; Ctrl-C ends it"
            drawn = Text(head + "\n\n", style="dim")
            drawn.append_text(Text.from_ansi(page.out.rstrip()))
            if page.err:
                drawn.append("\n\n" + page.err.rstrip(), style="yellow")
            live.update(drawn, refresh=True)
            await asyncio.sleep(seconds)
            page = await _run_again(redis, work, page, terminal=True)


async def _append(
    redis: Redis, work: Command, page: PrintedPage, seconds: float, *, as_json: bool
) -> ExitCode:
    """Append each page to the previous one; as JSON, one line each."""
    last_error = ""
    while True:
        if page.err != last_error:  # print a repeated warning once
            last_error = page.err
            sys.stderr.write(last_error)
            sys.stderr.flush()
        if as_json and page.out:
            sys.stdout.write(json.dumps(json.loads(page.out)) + "\n")
        elif not as_json:
            sys.stdout.write(f"{page.at:%H:%M:%S} UTC\n\n{page.out}\n")
        sys.stdout.flush()
        if output_error():
            return ExitCode.DONE
        await asyncio.sleep(seconds)
        page = await _run_again(redis, work, page, terminal=False)


async def _run_once(redis: Redis, work: Command, *, terminal: bool) -> PrintedPage:
    out, err = Page(terminal=terminal), Page(terminal=terminal)
    with redirect_stdout(out), redirect_stderr(err):
        await work(redis)
    return PrintedPage(datetime.now(UTC), out.getvalue(), err.getvalue())


async def _run_again(
    redis: Redis, work: Command, before: PrintedPage, *, terminal: bool
) -> PrintedPage:
    """The next page; if Redis fails, the page *before* (on a terminal only) and the error."""
    try:
        return await _run_once(redis, work, terminal=terminal)
    except (RedisError, OSError) as e:
        out = before.out if terminal else ""
        return PrintedPage(before.at, out, f"{explain(e)}; it is tried again\n")
