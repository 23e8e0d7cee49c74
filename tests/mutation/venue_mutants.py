"""Bugs in what a venue's answers prove, and in what is asked of it."""

from tests.mutation.mutant import Mutant, mutant

BINANCE = "services/binance_connector/orders.py"
LUNO = "services/luno_connector/orders.py"
VALIDATION = "execution/validation.py"


def _binance_proof(code: int, what: str) -> Mutant:
    """A code after which an order may exist all the same, taken for a refusal."""
    return mutant(
        f"Binance {code} ({what}) is taken for a refusal",
        BINANCE,
        "        -1003,  # too",
        f"        {code},\n        -1003,  # too",
    )


def _luno_proof(code: str) -> Mutant:
    return mutant(
        f"Luno {code} is taken for a refusal",
        LUNO,
        '        "ErrAmountTooBig",\n',
        f'        "ErrAmountTooBig",\n        "{code}",\n',
    )


VENUES: tuple[Mutant, ...] = (
    _binance_proof(-1000, "unknown error"),
    _binance_proof(-1001, "disconnected"),
    _binance_proof(-1006, "unexpected response, status unknown"),
    _binance_proof(-1007, "timeout, status unknown"),
    _binance_proof(-1008, "overloaded"),
    _binance_proof(-1016, "shutting down"),
    _binance_proof(-1021, "outside recvWindow"),
    _binance_proof(-1099, "not documented"),
    _binance_proof(-1137, "not documented"),
    _binance_proof(-2011, "cancel rejected"),
    _binance_proof(-2013, "no such order"),
    mutant(
        "a duplicate at Binance is a refusal", BINANCE, " and not message.startswith(DUPLICATE)", ""
    ),
    mutant("a 5xx of Binance is a refusal", BINANCE, "400 <= status < 500", "400 <= status"),
    mutant("a 500 of Binance is a refusal", BINANCE, "400 <= status < 500", "400 <= status <= 500"),
    mutant("a 400 of Binance proves nothing", BINANCE, "400 <= status < 500", "400 < status < 500"),
    mutant(
        "Binance's refusals prove nothing",
        BINANCE,
        "if refused and definitive and",
        "if False and definitive and",
    ),
    mutant(
        "an order in a refusal of Binance is overlooked",
        BINANCE,
        ' and "orderId" not in answer',
        "",
    ),
    mutant("a no in a 200 of Binance is a yes", BINANCE, ' and "code" not in answer', ""),
    mutant(
        "an answer of Binance about another order is believed",
        BINANCE,
        "if not is_ours(order, record) or order.client_order_id != record.client_order_id:",
        "if False:",
    ),
    mutant(
        "an answer of Binance about another id is believed",
        BINANCE,
        " or order.client_order_id != record.client_order_id",
        "",
    ),
    mutant(
        "an unreadable yes of Binance is a crash",
        BINANCE,
        "except (KeyError, TypeError, ValueError, ArithmeticError) as e:",
        "except KeyError as e:",
    ),
    mutant(
        "a dropped connection to Binance is a crash",
        BINANCE,
        "except (aiohttp.ClientError, OSError, ValueError, RecursionError) as e:",
        "except (ValueError, RecursionError) as e:",
    ),
    mutant("Binance's clock isn't doubted after -1021", BINANCE, "self._clock.doubt()", "pass"),
    mutant(
        "any code of Binance means that there is no order",
        BINANCE,
        "e.code == UNKNOWN_ORDER",
        "e.code",
    ),
    mutant(
        "an order that Binance denies is asked for, for ever",
        BINANCE,
        "e.code == UNKNOWN_ORDER",
        "False",
    ),
    mutant(
        "the orders of Binance's search aren't compared",
        BINANCE,
        "return best_match(orders, record)",
        "return next(iter(orders), None)",
    ),
    mutant("limits look like refusals of Binance's", BINANCE, "code in (-1003, -1015)", "False"),
    mutant(
        "post_only goes with anything",
        VALIDATION,
        'command.time_in_force not in (None, "GTC")',
        "False",
    ),
    mutant(
        "any id goes to the venue",
        VALIDATION,
        "if not rules.carries(command.client_order_id):",
        "if False:",
    ),
    mutant(
        "a market order goes with a time in force",
        VALIDATION,
        "(command.post_only or command.time_in_force)",
        "command.post_only",
    ),
    mutant(
        "a market buy has no cap",
        VALIDATION,
        'is_market_buy = command.type == "market" and command.side == "buy"',
        "is_market_buy = False",
    ),
    mutant("a market sell is capped", VALIDATION, ' and command.side == "buy"', ""),
    *(
        _luno_proof(code)
        for code in (
            "ErrDuplicateClientOrderID",
            "ErrInternal",
            "ErrOrderNotFound",
            "ErrTimeout",
            "ErrInvalidTimestamp",
        )
    ),
    mutant("Luno's refusals prove nothing", LUNO, "if e.code not in DEFINITIVE:", "if True:"),
    mutant("any error of Luno's is a refusal", LUNO, "if e.code not in DEFINITIVE:", "if False:"),
    mutant(
        "a dropped connection to Luno is a refusal",
        LUNO,
        'return OutcomeUnknown(excerpt(f"no answer that can be read: {e!r}"))',
        'return Rejection("no_answer", repr(e))',
    ),
    mutant("any code of Luno means that there is no order", LUNO, "e.code in NOT_FOUND", "e.code"),
    mutant(
        "an order that Luno denies is asked for, for ever", LUNO, "e.code in NOT_FOUND", "False"
    ),
    mutant(
        "the orders of Luno's search aren't compared",
        LUNO,
        "return best_match(orders, record)",
        "return next(iter(orders), None)",
    ),
    mutant(
        "Luno's search looks at nothing older",
        LUNO,
        "record.timestamp - SEARCH_BEFORE_MS",
        "record.timestamp",
    ),
    mutant(
        "a market buy's cap is below the price",
        LUNO,
        "(1 + slippage)",
        "(1 - slippage)",
    ),
    mutant("a market buy's cap is the best price", LUNO, "if left <= 0:", "if True:"),
    mutant(
        "a market buy without a book goes out",
        LUNO,
        'return Rejection("book_out_of_sync", f"the book of {instrument.symbol} is not in sync")',
        "return order",
    ),
)
