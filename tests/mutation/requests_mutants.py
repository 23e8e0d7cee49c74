"""Bugs in cancels, questions and the dead-man's switch."""

from tests.mutation.mutant import Mutant, mutant

REQUESTS: tuple[Mutant, ...] = (
    mutant(
        "cancel all doesn't wait for orders under way",
        "requests.py",
        "while under_way and self._clock.monotonic() < waited_until:",
        "while False:",
    ),
    mutant(
        "cancel all is done too early",
        "requests.py",
        "        if under_way:\n            names",
        "        if False:\n            names",
    ),
    mutant(
        "cancel all leaves what orders under way became",
        "requests.py",
        "failures += [await self._cancel_answered(venue, record) for record in answered]",
        "pass",
    ),
    mutant(
        "cancel all hides what failed",
        "requests.py",
        "if some := [failure",
        "if some := [] and [failure",
    ),
    mutant(
        "cancel all takes every symbol",
        "requests.py",
        "if symbol in (None, order.symbol)",
        "if True",
    ),
    mutant(
        "cancel all waits for other symbols",
        "requests.py",
        "if symbol in (None, r.order.symbol)}",
        "}",
    ),
    mutant(
        "a cancel that overtakes its order is refused at once",
        "requests.py",
        "ORDER_CLAIMED_WITHIN = 1.0",
        "ORDER_CLAIMED_WITHIN = 0.0",
    ),
    mutant(
        "no patience with orders that wait to be claimed",
        "requests.py",
        "return ORDERS_WAIT_AT_MOST if waiting else ORDER_CLAIMED_WITHIN",
        "return ORDER_CLAIMED_WITHIN",
    ),
    mutant(
        "patience with a refused order",
        "requests.py",
        "return 0.0 if _refused(record) else ORDER_APPEARS_WITHIN",
        "return ORDER_APPEARS_WITHIN",
    ),
    mutant(
        "no patience with an order that isn't shown",
        "requests.py",
        "return 0.0 if _refused(record) else ORDER_APPEARS_WITHIN",
        "return 0.0",
    ),
    mutant(
        "a canceled order can't be canceled",
        "requests.py",
        'report is not None and report.status == "canceled"',
        "False",
    ),
    mutant(
        "a query of an unchanged order publishes nothing",
        "requests.py",
        "await self._ledger.tell(report, again=True)",
        "await self._ledger.tell(report)",
    ),
    mutant(
        "a command is asked for ever",
        "requests.py",
        "asyncio.timeout(GIVE_UP_AFTER)",
        "asyncio.timeout(None)",
    ),
    mutant(
        "another exchange's balance is answered",
        "requests.py",
        "if command.exchange != self._exchange:",
        "if False:",
    ),
    mutant(
        "a request keeps its room",
        "requests.py",
        "self._in_flight.discard(entry.entry_id)\n            self._room.release()",
        "self._in_flight.discard(entry.entry_id)",
    ),
    mutant(
        "a request that is carried out is begun again",
        "requests.py",
        "if entry.entry_id not in in_flight]",
        "]",
    ),
    mutant(
        "a dead bot's orders stay",
        "dead_man.py",
        "if dead:\n                await",
        "if False:\n                await",
    ),
    mutant(
        "a living bot's orders are canceled",
        "dead_man.py",
        "silent is not None and silent > patience",
        "True",
    ),
    mutant(
        "a bot that never lived is dead",
        "dead_man.py",
        "silent is not None and silent > patience",
        "silent is None or silent > patience",
    ),
    mutant(
        "everybody's orders are a dead bot's",
        "dead_man.py",
        'if not (told.client_order_id or "").startswith(BOT_ORDERS):',
        "if False:",
    ),
    mutant("a dead bot's orders are canceled each second", "dead_man.py", "< AGAIN_AFTER:", "< 0:"),
    mutant("a dead bot's orders are canceled once", "dead_man.py", "< AGAIN_AFTER:", "< 1e9:"),
    mutant(
        "one order that can't be canceled ends the watch",
        "dead_man.py",
        "except (TransientError, RejectedError, FeedStoppedError) as e:",
        "except TransientError as e:",
    ),
)
