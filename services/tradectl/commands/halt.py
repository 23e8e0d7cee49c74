"""The switch that stops all new orders: `halt`, `resume`."""

from typing import Annotated

import typer

from services.tradectl import halting
from services.tradectl.options import DEFAULT_TIMEOUT, AsJson, Timeout
from services.tradectl.running import run


def halt(
    words: Annotated[
        list[str],
        typer.Argument(metavar="REASON...", help="A few words for those who find it halted."),
    ],
    keep_orders: Annotated[
        bool, typer.Option("--keep-orders", help="Leave the open orders alone.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
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
    name = by.strip() or halting.current_user()
    run(lambda redis: halting.resume(redis, name, as_json=json))
