"""Commands that stop and allow new orders: `halt`, `resume`."""

from typing import Annotated

import typer

from services.tradectl import halting
from services.tradectl.options import DEFAULT_TIMEOUT, AsJson, Timeout
from services.tradectl.running import run


def halt(
    words: Annotated[
        list[str],
        typer.Argument(metavar="REASON...", help="Why, for the next operator."),
    ],
    keep_orders: Annotated[
        bool, typer.Option("--keep-orders", help="Do not cancel open orders.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: AsJson = False,
) -> None:
    """Stop all new orders at once, then cancel all open ones.

    The halt survives restarts of everything, until `tradectl resume`. Exit code 0: halted, and
    every connector has cancelled all its orders, or will do so by itself because Redis is full;
    1, 4 or 5: halted, but some orders may be open, or no connector was ever on this Redis; 3: it
    may not be halted.

    \b
        tradectl halt "prices look wrong"
        tradectl halt "maintenance" --keep-orders
    """
    run(
        lambda redis: halting.halt(
            redis, words, keep_orders=keep_orders, seconds=timeout, as_json=json
        )
    )


def resume(
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="NAME", help="Who resumes; by default the user who runs this."
        ),
    ] = "",
    json: AsJson = False,
) -> None:
    """Allow new orders again.

    With real money it is needed once on each new Redis, and after Redis lost data: the connectors
    stay halted until an operator resumes. `redis-cli GET control:trading` shows who and when.
    """
    name = by.strip() or halting.current_user()
    run(lambda redis: halting.resume(redis, name, as_json=json))
