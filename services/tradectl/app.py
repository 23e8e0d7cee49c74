"""The command line: every command, its options, and the help that teaches them."""

from typing import Annotated
from uuid import uuid4

import typer
from pydantic import ValidationError

from common_models import PlaceOrderCommand
from services.tradectl import (
    account,
    doctor,
    halting,
    letters,
    placing,
    requests,
    status,
    tailing,
    why,
)
from services.tradectl.arguments import Commands
from services.tradectl.ending import Ending, tell, told
from services.tradectl.output import guard
from services.tradectl.running import run
from services.tradectl.settings import TradectlSettings
from services.tradectl.where import health_urls

# The longest that a connector may take to be sure of an order's outcome, and a little more.
PATIENCE = 75.0

HELP = """
Watch, trade and look after the suite by hand.

It reads and writes the Redis that REDIS_URL names, else that of the `make run` in this folder,
else redis://127.0.0.1:6379/0. It never talks to an exchange: an order is a command in a stream,
as any bot's.

\b
    tradectl doctor                                       is everything as it should be?
    tradectl status                                       services, feeds, how old the data is
    tradectl tail 'binance:BTCUSDT:*'                     watch a market
    tradectl place binance buy BTC/USDT 0.001 --price 60000
    tradectl why CLIENT_ORDER_ID                          what became of it, and what led to it
    tradectl halt "something is odd"                      no new orders; open ones are cancelled

\b
Exit codes, the same for all commands:
      0  done: accepted, filled, cancelled, all is well
      1  no: rejected, not there, not ready, a check failed
      2  arguments or settings that can't be used; nothing was sent
      3  Redis can't be reached, or refuses; nothing was sent
      4  unknown: it may or may not have happened; ask again with the same --id
      5  no answer, or the order hasn't ended, within --timeout
    130  interrupted
"""

app = typer.Typer(
    name="tradectl",
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables
    rich_markup_mode=None,
)
dead_letters = typer.Typer(
    help="Commands that no connector could read.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(dead_letters, name="dead-letters")

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
Exchange = Annotated[str | None, typer.Option("--exchange", "-x", help="e.g. binance, luno.")]
Symbol = Annotated[str | None, typer.Option("--symbol", "-s", help="e.g. BTC/USDT.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, max=86_400, help="Seconds to wait for the answer.")
]


def main() -> None:
    """The console script."""
    guard()
    app(prog_name="tradectl")


@app.command("tail")
def tail(
    patterns: Annotated[list[str], typer.Argument(metavar="STREAM...", help="Names or globs.")],
    start: Annotated[
        str,
        typer.Option(
            "--from", help="new, all, an entry's id, a time ago (90s, 5m, 2h, 1d), or an ISO time."
        ),
    ] = "new",
    symbol: Symbol = None,
    order: Annotated[
        str | None,
        typer.Option("--id", help="Only what carries this order's, request's or trade's id."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="End after so many.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on, or end at the newest entry.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Show entries of streams, decoded, as they come.

    Ctrl-C ends it. Times are in UTC. With --json each entry is one line: {"stream", "id", "time",
    "data"}, and "fault" where it isn't what its stream promises.

    \b
        tradectl tail binance:BTCUSDT:trades
        tradectl tail '*_connector:events:order_*' --from 10m
        tradectl tail '*' --id my-first-order --from all --no-follow
        tradectl tail 'luno:*:ticker' --symbol XBT/ZAR --json | jq .data.last_price
    """
    wanted = tailing.Filter(symbol, order)
    run(
        lambda redis: tailing.tail(
            redis, patterns, start, wanted, count=count, follow=follow, as_json=json
        ),
        shows=True,
    )


@app.command("status")
def show_status(json: AsJson = False) -> None:
    """Show services, feeds and how old the market data is.

    Exit code 0 only where every service is ready and every feed is live. HEALTH_URLS says where
    the services answer.

    \b
        tradectl status
        tradectl status --json | jq '.feeds[] | select(.state == "stale")'
    """
    run(lambda redis: status.status(redis, health_urls(), as_json=json))


@app.command("place")
def place(  # noqa: PLR0913, PLR0917 - each is an option of the command
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="binance, luno, ...")],
    side: Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell")],
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="e.g. BTC/USDT, XBT/ZAR")],
    quantity: Annotated[float, typer.Argument(metavar="QUANTITY", help="In the base asset.")],
    price: Annotated[
        float | None, typer.Option("--price", "-p", help="Makes it a limit order.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option("--id", help="The client_order_id; one is made where none is given."),
    ] = None,
    time_in_force: Annotated[
        str | None, typer.Option("--time-in-force", help="GTC, IOC or FOK.")
    ] = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Never take liquidity.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the order has ended.")] = False,
    timeout: Timeout = PATIENCE,
    json: AsJson = False,
) -> None:
    """Place one order, wait for the answer, and exit by it.

    The client_order_id is told on stderr before the command is sent. The same command again with
    that --id is safe: it is the same order, and its answer is told again. Without --price it is a
    market order.

    \b
    Exit codes: 0 accepted (with --wait: filled); 1 rejected (with --wait: also cancelled or
    expired); 4 unknown, or Redis went away while it was sent; 5 no answer within --timeout (with
    --wait: still open).

    \b
        tradectl place binance buy BTC/USDT 0.001 --price 60000
        tradectl place luno sell XBT/ZAR 0.0005 --wait
        tradectl place binance buy BTC/USDT 0.001 --price 60000 --id my-order-1 --json
    """
    given: dict[str, object] = {
        "client_order_id": order or f"ctl-{uuid4().hex}",
        "symbol": symbol.upper(),
        "type": "market" if price is None else "limit",
        "side": side,
        "quantity": quantity,
        "price": price,
        "time_in_force": time_in_force,
        "post_only": post_only,
    }
    command = _order(given)
    run(
        lambda redis: placing.place(
            redis, exchange, command, wait_for_end=wait, seconds=timeout, as_json=json
        )
    )


def _order(given: dict[str, object]) -> PlaceOrderCommand:
    try:
        return PlaceOrderCommand.model_validate(given)
    except ValidationError as e:
        for error in e.errors(include_url=False):
            where = ".".join(str(part) for part in error["loc"])
            tell(f"tradectl: {where}={error['input']!r}: {error['msg']}")
        raise typer.Exit(Ending.USAGE) from None


@app.command("cancel")
def cancel(
    order: Annotated[
        str | None, typer.Argument(metavar="CLIENT_ORDER_ID", help="One order.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All open orders instead of one.")] = False,
    by_order_id: Annotated[
        bool, typer.Option("--order-id", help="The argument is the exchange's id.")
    ] = False,
    exchange: Exchange = None,
    symbol: Symbol = None,
    timeout: Timeout = PATIENCE,
    json: AsJson = False,
) -> None:
    """Cancel one order or all; exit by the answer.

    Where an order trades is looked up in what was told of it; name its --exchange and --symbol
    where nothing was. A cancel may be given again as often as you like.

    \b
        tradectl cancel my-order-1
        tradectl cancel --order-id 4711 --exchange binance --symbol BTC/USDT
        tradectl cancel --all --exchange luno
    """
    if every == (order is not None):
        tell("tradectl: want either a CLIENT_ORDER_ID or --all")
        raise typer.Exit(Ending.USAGE)
    pair = None if symbol is None else symbol.upper()
    if order is None:
        run(lambda redis: requests.cancel_all(redis, exchange, pair, seconds=timeout, as_json=json))
    run(
        lambda redis: requests.cancel(
            redis, order, exchange, pair, by_order_id=by_order_id, seconds=timeout, as_json=json
        )
    )


@app.command("orders")
def show_orders(
    exchange: Exchange = None,
    symbol: Symbol = None,
    closed: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    json: AsJson = False,
) -> None:
    """Show the open orders that the connectors told of.

    Orders that were placed elsewhere are among them.

    \b
        tradectl orders
        tradectl orders --all --symbol BTC/USDT --json
    """
    run(
        lambda redis: account.orders(redis, exchange, symbol, closed=closed, as_json=json),
        shows=True,
    )


@app.command("balances")
def show_balances(
    exchange: Exchange = None,
    assets: Annotated[
        list[str] | None, typer.Option("--asset", "-a", help="Only this one; may be repeated.")
    ] = None,
    zero: Annotated[bool, typer.Option("--all", help="Assets of which there is none too.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Have the exchanges asked first.")
    ] = False,
    timeout: Timeout = PATIENCE,
    json: AsJson = False,
) -> None:
    """Show the balances that were told last.

    Connectors tell every change, and all of them once a minute.

    \b
        tradectl balances
        tradectl balances --refresh --asset USDT --json
    """
    wanted = [asset.upper() for asset in assets or ()]
    run(
        lambda redis: account.balances(
            redis, exchange, wanted, zero=zero, refresh=refresh, seconds=timeout, as_json=json
        ),
        shows=True,
    )


@app.command("why")
def show_why(
    order: Annotated[str, typer.Argument(metavar="CLIENT_ORDER_ID")],
    exchange: Exchange = None,
    json: AsJson = False,
) -> None:
    """Tell the story of one order, with each hop's time.

    Tick, indicator, decision, risk, command, journal, each answer and each fill. A hop that isn't
    there (any more) is shown as missing, and why. Exit code 1 where nobody has heard of the order.

    \b
        tradectl why my-order-1
        tradectl why my-order-1 --json | jq -c '.stories[].hops[] | [.hop, .time, .after_ms]'
    """
    run(lambda redis: why.why(redis, order, exchange, as_json=json), shows=True)


# A reason may begin with a dash: "-5% in a minute".
@app.command("halt", context_settings={"ignore_unknown_options": True})
def halt(
    words: Annotated[
        list[str],
        typer.Argument(metavar="REASON...", help="A few words for those who find it halted."),
    ],
    keep_orders: Annotated[
        bool, typer.Option("--keep-orders", help="Leave the open orders alone.")
    ] = False,
    timeout: Timeout = PATIENCE,
    json: AsJson = False,
) -> None:
    """Stop all new orders at once, then cancel all open ones.

    The switch outlives restarts of everything, until `tradectl resume`. Exit code 0: halted, and
    every connector has cancelled all it had, or will by itself, where Redis is full; 1, 4 or 5:
    halted, but not every order is known to be cancelled, or no connector was ever on this Redis;
    3: it isn't known to be halted.

    \b
        tradectl halt "prices look wrong"
        tradectl halt "maintenance" --keep-orders
    """
    run(
        lambda redis: halting.halt(
            redis, words, keep_orders=keep_orders, seconds=timeout, as_json=json
        )
    )


@app.command("resume")
def resume(
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who resumes; else the user that runs this.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Let new orders go again.

    Real money needs it once on each new Redis, and wherever Redis lost data: the connectors stay
    halted until somebody has looked. `redis-cli GET control:trading` says who resumed, and when.
    """
    name = by.strip() or halting.whoever_runs_this()
    run(lambda redis: halting.resume(redis, name, as_json=json))


@dead_letters.command("list")
def list_dead_letters(
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="At most so many of each command.")
    ] = 20,
    json: AsJson = False,
) -> None:
    """Show the newest of them: what was wrong, and how each begins.

    \b
        tradectl dead-letters list
    """
    run(lambda redis: letters.list_letters(redis, count, as_json=json), shows=True)


@dead_letters.command("show")
def show_dead_letter(
    entry: Annotated[str, typer.Argument(metavar="ID", help="The letter's, or the command's.")],
    json: AsJson = False,
) -> None:
    """Show one of them whole.

    \b
        tradectl dead-letters show 1700000000000-0
    """
    run(lambda redis: letters.show_letter(redis, entry, as_json=json), shows=True)


@app.command("doctor")
def see_doctor(json: AsJson = False) -> None:
    """Look for what keeps the suite from working safely.

    It changes nothing, and looks at Redis's version and settings, clocks, permissions, the halt
    switch, keys, connectors, the world this Redis belongs to, and commands that wait. Exit code 1
    where a check fails.

    \b
        tradectl doctor
        tradectl doctor --json | jq '.[] | select(.state != "ok")'
    """
    run(lambda redis: doctor.doctor(redis, told(TradectlSettings), as_json=json))
