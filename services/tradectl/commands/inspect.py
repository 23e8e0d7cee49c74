"""Commands that inspect the suite: `tail`, `status`, `doctor`, `dead-letters`."""

from typing import Annotated

import typer
from redis.asyncio import Redis

from services.tradectl import dead_letters, doctor, status, tailing
from services.tradectl.exit_codes import ExitCode, load_settings
from services.tradectl.options import AsJson, Symbol, Watch
from services.tradectl.running import run, show
from services.tradectl.settings import TradectlSettings
from services.tradectl.target import health_urls


def tail(
    patterns: Annotated[
        list[str], typer.Argument(metavar="STREAM...", help="Stream names or globs.")
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from", help="new, all, an entry id, a time ago (90s, 5m, 2h, 1d), or an ISO time."
        ),
    ] = "new",
    symbol: Symbol = None,
    order: Annotated[
        str | None,
        typer.Option("--id", help="Only entries with this id of an order, request or trade."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Exit after this many entries.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Continue, or exit at the newest entry.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Show decoded entries of streams as they arrive.

    Ctrl-C stops it. Times are in UTC. With --json each entry is one line: {"stream", "id", "time",
    "data"}, and "fault" if it is not valid for its stream.

    \b
        tradectl tail binance:BTCUSDT:trades
        tradectl tail '*_connector:events:order_*' --from 10m
        tradectl tail '*' --id my-first-order --from all --no-follow
        tradectl tail 'luno:*:ticker' -s XBT/ZAR --json | jq .data.last_price
    """
    wanted = tailing.Filter(symbol, order)
    run(
        lambda redis: tailing.tail(
            redis, patterns, start, wanted, count=count, follow=follow, as_json=json
        ),
        shows=True,
    )


def show_status(watch: Watch = None, json: AsJson = False) -> None:
    """Show services, feeds and the age of the market data.

    Exit code 0 only if every service is ready and every feed is live. HEALTH_URLS has the
    addresses of the services.

    \b
        tradectl status --watch
        tradectl status --json | jq '.feeds[] | select(.state == "stale")'
    """

    async def work(redis: Redis) -> ExitCode:
        return await status.status(redis, health_urls(), as_json=json)

    if watch is None:
        run(work)  # the state decides the exit code, even if stdout can't be written
    show(work, watch, as_json=json)


def run_doctor(json: AsJson = False) -> None:
    """Check that the suite can work safely.

    It changes nothing. It checks Redis's version and settings, clocks, permissions, the halt
    switch, keys, connectors, the world of this Redis, and waiting commands. Exit code 1 if a check
    fails.

    \b
        tradectl doctor
        tradectl doctor --json | jq '.[] | select(.state != "ok")'
    """
    run(lambda redis: doctor.doctor(redis, load_settings(TradectlSettings), as_json=json))


def list_dead_letters(
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="At most this many per command.")
    ] = 20,
    json: AsJson = False,
) -> None:
    """Show the newest dead letters: the error, and the start of the content.

    \b
        tradectl dead-letters list
    """
    run(lambda redis: dead_letters.list_dead_letters(redis, count, as_json=json), shows=True)


def show_dead_letter(
    entry: Annotated[
        str,
        typer.Argument(metavar="ID", help="The entry id of the dead letter, or of the command."),
    ],
    json: AsJson = False,
) -> None:
    """Show one dead letter in full.

    \b
        tradectl dead-letters show 1700000000000-0
    """
    run(lambda redis: dead_letters.show_dead_letter(redis, entry, as_json=json), shows=True)
