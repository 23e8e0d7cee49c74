"""Bugs in cancels, questions and the dead-man's switch."""

from tests.mutation.mutant import Mutant, mutant

REQUESTS: tuple[Mutant, ...] = (
    mutant(
        "cancel all doesn't wait for orders under way",
        "cancel_all.py",
        "while under_way and self._clock.monotonic() < waited_until:",
        "while False:",
    ),
    mutant(
        "cancel all is done too early",
        "cancel_all.py",
        "        if under_way:\n            names",
        "        if False:\n            names",
    ),
    mutant(
        "cancel all leaves what orders under way became",
        "cancel_all.py",
        "await self._cancel(became, {order.symbol for order in became})",
        "pass",
    ),
    mutant(
        "cancel all hides what failed", "cancel_all.py", "        if failures:", "        if False:"
    ),
    mutant(
        "cancel all takes every symbol",
        "cancel_all.py",
        "if symbol in (None, r.symbol)\n",
        "if True\n",
    ),
    mutant(
        "cancel all waits for other symbols",
        "cancel_all.py",
        "if symbol in (None, r.order.symbol)}",
        "}",
    ),
    mutant(
        "orders that aren't published lose their ids in bulk",
        "cancel_all.py",
        "if not {order.ref for order in orders} <= known:",
        "if False:",
    ),
    mutant(
        "orders lose their ids in bulk while others are under way",
        "cancel_all.py",
        " and symbol not in awaited",
        "",
    ),
    mutant(
        "cancel all is given up though it makes progress",
        "cancel_all.py",
        "        self._done += orders\n        self._wait_again()",
        "        self._done += orders",
    ),
    mutant(
        "a cancel all shares a run that began before it",
        "cancel_all.py",
        "self._next.pop(symbol, None)",
        "pass",
    ),
    mutant(
        "a cancel all is answered by a run that began before it",
        "cancel_all.py",
        "any(entry.milliseconds < self._done_before.get(s, 0) for s in (None, symbol))",
        "any(s in self._done_before for s in (None, symbol))",
    ),
    mutant(
        "a run of one symbol answers those of all",
        "cancel_all.py",
        "any(entry.milliseconds < self._done_before.get(s, 0) for s in (None, symbol))",
        "any(entry.milliseconds < before for before in self._done_before.values())",
    ),
    mutant(
        "a run that failed answers others",
        "cancel_all.py",
        "if shared.outcome == DONE:",
        "if True:",
    ),
    mutant(
        "a flood of cancel alls costs a run for each that are read at once",
        "cancel_all.py",
        "self._done_before[symbol] = began",
        "pass",
    ),
    mutant(
        "an id of the future is answered by an earlier run",
        "redis_journal.py",
        'return min(now, int(newest[0][0].partition(b"-")[0])) if newest else 0',
        'return int(newest[0][0].partition(b"-")[0]) if newest else 0',
    ),
    mutant(
        "a bot's cancel alls run one after another without a pause",
        "cancel_all.py",
        "await self._clock.sleep(max(0.0, wait))",
        "pass",
    ),
    mutant(
        "a cancel that overtakes its order is refused at once",
        "cancels.py",
        "ORDER_CLAIMED_WITHIN = 1.0",
        "ORDER_CLAIMED_WITHIN = 0.0",
    ),
    mutant(
        "no patience with orders that wait to be claimed",
        "cancels.py",
        "patience = ORDERS_WAIT_AT_MOST if waiting else ORDER_CLAIMED_WITHIN",
        "patience = ORDER_CLAIMED_WITHIN",
    ),
    mutant(
        "patience with a refused order",
        "cancels.py",
        "return 0.0 if record is None or refused(record) else ORDER_APPEARS_WITHIN",
        "return 0.0 if record is None else ORDER_APPEARS_WITHIN",
        ("return record is not None and not refused(record)", "return record is not None"),
    ),
    mutant(
        "no patience with an order that isn't shown",
        "cancels.py",
        "return 0.0 if record is None or refused(record) else ORDER_APPEARS_WITHIN",
        "return 0.0",
    ),
    mutant(
        "a canceled order can't be canceled",
        "cancels.py",
        'report is not None and report.status == "canceled"',
        "False",
    ),
    mutant(
        "unknown ids cost as many requests as there are",
        "cancels.py",
        "elif not await self._its_turn():",
        "elif False:",
    ),
    mutant(
        "everything counts as known",
        "cancels.py",
        "        if await self._is_known(command):\n            return True\n        if command",
        "        if True:\n            return True\n        if command",
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
        "self._in_flight.discard(entry.entry_id)\n            self._read.release()",
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
