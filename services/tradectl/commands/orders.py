"""Commands about orders: `place`, `cancel`, `orders`, `why`."""

from typing import Annotated
from uuid import uuid4

import typer
from pydantic import ValidationError

from common_models import PlaceOrderCommand
from services.tradectl import account, completion, placing, requests
from services.tradectl.exit_codes import ExitCode, print_message
from services.tradectl.options import DEFAULT_TIMEOUT, AsJson, Exchange, Symbol, Timeout, Watch
from services.tradectl.order_trace import why
from services.tradectl.running import run, show


def place(  # noqa: PLR0913, PLR0917 - each is an option of the command
    exchange: Annotated[
        str,
        typer.Argument(
            metavar="EXCHANGE", help="binance, luno, ...", autocompletion=completion.exchanges
        ),
    ],
    side: Annotated[
        str,
        typer.Argument(metavar="SIDE", help="buy or sell", autocompletion=completion.sides),
    ],
    symbol: Annotated[
        str,
        typer.Argument(
            metavar="SYMBOL", help="e.g. BTC/USDT, XBT/ZAR", autocompletion=completion.symbols
        ),
    ],
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
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: AsJson = False,
) -> None:
    """Place one order, wait for the answer, and exit by it.

    The client_order_id is told on stderr before the command is sent. The same command again with
    that --id is safe: it is the same order, and its answer is told again. Without --price it is a
    market order.

    Exit codes: 0 accepted (with --wait: filled); 1 rejected (with --wait: also cancelled or
    expired); 4 unknown, or Redis went away while it was sent; 5 no answer within --timeout (with
    --wait: still open).

    \b
        tradectl place binance buy BTC/USDT 0.001 --price 60000
        tradectl place luno sell XBT/ZAR 0.0005 --wait
        tradectl place binance buy BTC/USDT 0.001 -p 60000 --id my-order-1
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
            redis, exchange, command, wait_until_closed=wait, seconds=timeout, as_json=json
        )
    )


def _order(given: dict[str, object]) -> PlaceOrderCommand:
    try:
        return PlaceOrderCommand.model_validate(given)
    except ValidationError as e:
        for error in e.errors(include_url=False):
            where = ".".join(str(part) for part in error["loc"])
            print_message(f"tradectl: {where}={error['input']!r}: {error['msg']}")
        raise typer.Exit(ExitCode.USAGE) from None


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
    timeout: Timeout = DEFAULT_TIMEOUT,
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
        print_message("tradectl: want either a CLIENT_ORDER_ID or --all")
        raise typer.Exit(ExitCode.USAGE)
    pair = None if symbol is None else symbol.upper()
    if order is None:
        run(lambda redis: requests.cancel_all(redis, exchange, pair, seconds=timeout, as_json=json))
    run(
        lambda redis: requests.cancel(
            redis, order, exchange, pair, by_order_id=by_order_id, seconds=timeout, as_json=json
        )
    )


def show_orders(
    exchange: Exchange = None,
    symbol: Symbol = None,
    closed: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    watch: Watch = None,
    json: AsJson = False,
) -> None:
    """Show the open orders that the connectors told of.

    Orders that were placed elsewhere are among them.

    \b
        tradectl orders
        tradectl orders --watch
        tradectl orders --all --symbol BTC/USDT --json
    """
    told = account.Account()
    show(
        lambda redis: account.orders(redis, told, exchange, symbol, closed=closed, as_json=json),
        watch,
        as_json=json,
    )


def show_why(
    order: Annotated[str | None, typer.Argument(metavar="CLIENT_ORDER_ID")] = None,
    exchange: Exchange = None,
    json: AsJson = False,
) -> None:
    """Tell the story of one order, with each hop's time; without an id, of the last decision.

    Tick, indicator, decision, risk, command, journal, each answer and each fill. A hop that isn't
    there (any more) is shown as missing, and why. Exit code 1 where nobody has heard of the order.

    \b
        tradectl why
        tradectl why my-order-1
        tradectl why my-order-1 --json | jq -c '.stories[].hops[]'
    """
    run(lambda redis: why.why(redis, order, exchange, as_json=json), shows=True)
