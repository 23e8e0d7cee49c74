"""The command line: all commands in one program, and the help that teaches them."""

from typing import Annotated

import typer

from services.tradectl.arguments import Commands
from services.tradectl.commands import account, halt, inspect, orders
from services.tradectl.output import guard
from services.tradectl.version import version

HELP = """
Watch, trade and look after the suite by hand.

It reads and writes the Redis that REDIS_URL names, else that of the `make run` in this folder,
else redis://127.0.0.1:6379/0. It never talks to an exchange: an order is a command in a stream,
as any bot's.

\b
    tradectl doctor                      is everything as it should be?
    tradectl status                      services, feeds, how old the data is
    tradectl tail 'binance:BTCUSDT:*'    watch a market
    tradectl place binance buy BTC/USDT 0.001 --price 60000
    tradectl positions                   what is held, and at which price
    tradectl pnl                         what was won, by strategy, and today
    tradectl why CLIENT_ORDER_ID         what became of it, and what led to it
    tradectl halt "something is odd"     no new orders; cancels open ones

\b
Exit codes, the same for all commands:
      0  done: accepted, filled, cancelled, all is well
      1  no: rejected, not there, not ready, a check failed
      2  arguments or settings that can't be used; nothing was sent
      3  Redis can't be reached, or refuses; nothing was sent
      4  unknown: it may or may not have happened; ask again, same --id
      5  no answer, or the order hasn't ended, within --timeout
    130  interrupted
"""

app = typer.Typer(
    name="tradectl",
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print local variables
    rich_markup_mode=None,
)
dead_letters = typer.Typer(
    help="Commands that no connector could read.", no_args_is_help=True, rich_markup_mode=None
)

app.command("tail")(inspect.tail)
app.command("status")(inspect.show_status)
app.command("place")(orders.place)
app.command("cancel")(orders.cancel)
app.command("orders")(orders.show_orders)
app.command("balances")(account.show_balances)
app.command("positions")(account.show_positions)
app.command("pnl")(account.show_pnl)
app.command("why")(orders.show_why)
# A reason may begin with a dash: "-5% in a minute".
app.command("halt", context_settings={"ignore_unknown_options": True})(halt.halt)
app.command("resume")(halt.resume)
app.add_typer(dead_letters, name="dead-letters")
dead_letters.command("list")(inspect.list_dead_letters)
dead_letters.command("show")(inspect.show_dead_letter)
app.command("doctor")(inspect.run_doctor)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(version())
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Say which version this is, and end.",
        ),
    ] = False,
) -> None:
    """The options of the program itself."""


def main() -> None:
    """The console script."""
    guard()
    app(prog_name="tradectl")
