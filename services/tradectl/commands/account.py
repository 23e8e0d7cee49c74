"""Commands about the account: `balances`."""

from typing import Annotated

import typer

from services.tradectl import account
from services.tradectl.options import PATIENCE, AsJson, Exchange, Timeout
from services.tradectl.running import run


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
