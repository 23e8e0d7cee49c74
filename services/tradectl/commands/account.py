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
        list[str] | None, typer.Option("--asset", "-a", help="Only this asset; may be repeated.")
    ] = None,
    zero: Annotated[bool, typer.Option("--all", help="Include zero balances.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Request new balances from the exchanges first.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    watch: Watch = None,
    json: AsJson = False,
) -> None:
    """Show the latest balances.

    Connectors publish every change, and all balances once a minute.

    \b
        tradectl balances --watch
        tradectl balances --refresh --asset USDT --json
    """
    if refresh and watch is not None:
        print_message("tradectl: --refresh asks the exchanges once; use it without --watch")
        raise typer.Exit(ExitCode.USAGE)
    wanted, latest = [asset.upper() for asset in assets or ()], account.Account()
    show(
        lambda redis: account.balances(
            redis,
            latest,
            exchange,
            wanted,
            zero=zero,
            refresh=refresh,
            seconds=timeout,
            as_json=json,
        ),
        watch,
        as_json=json,
    )


def show_positions(
    exchange: Exchange = None,
    symbol: Symbol = None,
    flat: Annotated[bool, typer.Option("--all", help="Include closed positions.")] = False,
    watch: Watch = None,
    json: AsJson = False,
) -> None:
    """Show the position on each market, and its unrealised profit.

    All orders through the connectors count: those of the suite's bot, of other bots, and of
    tradectl. The connectors' limits use the same positions (<connector>:state:positions).
    Deposits, withdrawals and trades elsewhere are not included: see `tradectl balances`.

    The average price is that of the fills, without fees, since the position was last flat; "-" if
    the position is older than the entries that order_status has kept. The current price is the mid
    price of the latest book. Money is in the symbol's second asset; a short position is negative.

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
    """Show the profit: realised, unrealised, fees, and today's.

    First that of the bot, by strategy and by market, from its latest event (bot:events:portfolio,
    published at each change and every ten seconds). Then that of all orders through the
    connectors, from the connectors' books, as in `tradectl positions`. The two overlap: the bot's
    orders are among all orders.

    Realised profit is of closed positions, net of all fees; unrealised profit is of open positions
    at the market price. Today's profit is both since midnight UTC, and is what RISK_MAX_DAILY_LOSS
    limits: in the bot, over all markets with the same quote asset; in each connector, over its
    own. A fee in a third asset (BNB) counts at its price in the bot, and at the exchange's full
    rate in the connectors.

    \b
        tradectl pnl
        tradectl pnl --symbol BTC/USDT
        tradectl pnl --json | jq .bot.profit_today
    """
    ledger = positions.PositionLedger()
    show(lambda redis: pnl.pnl(redis, ledger, exchange, symbol, as_json=json), watch, as_json=json)
