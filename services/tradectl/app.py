"""The command line: registers all commands, and holds the general help."""

from typing import Annotated

import typer

from services.tradectl.arguments import Commands
from services.tradectl.commands import account, halt, inspect, orders
from services.tradectl.output import guard
from services.tradectl.version import version

HELP = """
Watch, trade and check the suite.

It uses the Redis of REDIS_URL, else that of the `make run` in this folder, else
redis://127.0.0.1:6379/0. It never connects to an exchange: an order is a command in a stream, like
a bot's.

\b
    tradectl doctor                      check that everything works
    tradectl status                      services, feeds, age of the data
    tradectl tail 'binance:BTCUSDT:*'    watch a market
    tradectl place binance buy BTC/USDT 0.001 --price 60000
    tradectl positions                   positions and their average price
    tradectl pnl                         profit, by strategy, and today
    tradectl why CLIENT_ORDER_ID         the order's outcome and its cause
    tradectl halt "something is odd"     no new orders; cancels open ones

\b
Exit codes, the same for all commands:
      0  done: accepted, filled, cancelled, healthy
      1  rejected, not found, not ready, or a check failed
      2  invalid arguments or settings; nothing was sent
      3  Redis can't be reached, or refuses; nothing was sent
      4  outcome unknown; repeat with the same --id
      5  no answer, or the order is still open, after --timeout
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
    help="Commands that a connector could not parse.", no_args_is_help=True, rich_markup_mode=None
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
# A reason may start with a dash: "-5% in a minute".
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
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """The options of the program itself."""


def main() -> None:
    """The console script."""
    guard()
    app(prog_name="tradectl")
