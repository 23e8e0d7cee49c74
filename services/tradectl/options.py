"""Options that several commands share."""

from typing import Annotated

import typer

from services.tradectl import completion

# In seconds: longer than a connector needs to resolve an order with an unknown outcome.
DEFAULT_TIMEOUT = 75.0

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
Exchange = Annotated[
    str | None,
    typer.Option(
        "--exchange", "-x", help="e.g. binance, luno.", autocompletion=completion.exchanges
    ),
]
Symbol = Annotated[
    str | None,
    typer.Option("--symbol", "-s", help="e.g. BTC/USDT.", autocompletion=completion.symbols),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, max=86_400, help="Seconds to wait for the answer.")
]
Watch = Annotated[
    float | None,
    typer.Option(
        "--watch",
        "-w",
        metavar="[SECONDS]",
        min=0.1,
        max=86_400,
        help="Show it again and again, every 2 seconds or so many, until Ctrl-C.",
    ),
]
