"""Commands about the account: `balances`, `positions`, `pnl`."""

from typing import Annotated

import typer

from services.tradectl import account, pnl, positions
from services.tradectl.exit_codes import ExitCode, print_message
from services.tradectl.options import DEFAULT_TIMEOUT, AsJson, Exchange, Symbol, Timeout, Watch
from services.tradectl.running import show


def show_balances(
    exchange: Exchange = None,
    assets: Annotated[
        list[str] | None, typer.Option("--asset", "-a", help="Only this one; may be repeated.")
    ] = None,
    zero: Annotated[bool, typer.Option("--all", help="Assets of which there is none too.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Have the exchanges asked first.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    watch: Watch = None,
    json: AsJson = False,
) -> None:
    """Show the balances that were told last.

    Connectors tell every change, and all of them once a minute.

    \b
        tradectl balances --watch
        tradectl balances --refresh --asset USDT --json
    """
    if refresh and watch is not None:
        print_message("tradectl: --refresh asks the exchanges once: want it without --watch")
        raise typer.Exit(ExitCode.USAGE)
    wanted, told = [asset.upper() for asset in assets or ()], account.Account()
    show(
        lambda redis: account.balances(
            redis, told, exchange, wanted, zero=zero, refresh=refresh, seconds=timeout, as_json=json
        ),
        watch,
        as_json=json,
    )


def show_positions(
    exchange: Exchange = None,
    symbol: Symbol = None,
    flat: Annotated[
        bool, typer.Option("--all", help="Markets of which nothing is held any more too.")
    ] = False,
    watch: Watch = None,
    json: AsJson = False,
) -> None:
    """Show what is held of each market, and what closing it now would win.

    All orders count that went through the connectors, whoever sent them: the suite's bot, one of
    your own, a hand. It is what the connectors' own limits go by (<connector>:state:positions).
    What was deposited, withdrawn or traded elsewhere isn't in it: that is in `tradectl balances`.

    The average price is that of the fills, without fees, and begins anew where nothing is held;
    "-" where the position is older than what order_status has kept. The price now is the middle
    of the newest book. Money is in the symbol's second asset, a short position is negative.

    \b
        tradectl positions --watch 5
        tradectl positions --exchange luno --json
    """
    ledger = positions.PositionLedger()
    show(
        lambda redis: positions.positions(redis, ledger, exchange, symbol, flat=flat, as_json=json),
        watch,
        as_json=json,
    )


def show_pnl(
    exchange: Exchange = None,
    symbol: Symbol = None,
    watch: Watch = None,
    json: AsJson = False,
) -> None:
    """Show what was won or lost, realised and unrealised, with the fees, and today.

    First the bot's, by strategy and by market, as it told last (bot:events:portfolio: at each
    change, and every ten seconds). Then that of all orders through the connectors, whoever sent
    them, from the connectors' books, as in `tradectl positions`. Nothing is added up between the
    two: the bot's orders are among all orders.

    Realised is what was closed, less all fees; unrealised what is held, at the market's price.
    Today is both since midnight UTC, and is what RISK_MAX_DAILY_LOSS limits: the bot's in all its
    markets of one money, each connector's in its own. A fee in a third asset (BNB) is in the bot's
    at its price, in the connectors' at the exchange's full rate.

    \b
        tradectl pnl
        tradectl pnl --symbol BTC/USDT
        tradectl pnl --json | jq .bot.profit_today
    """
    ledger = positions.PositionLedger()
    show(lambda redis: pnl.pnl(redis, ledger, exchange, symbol, as_json=json), watch, as_json=json)
