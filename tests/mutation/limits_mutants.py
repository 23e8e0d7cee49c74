"""Bugs in what limits an order: the gate, and the venue's rules."""

from tests.mutation.mutant import Mutant, mutant

LIMITS: tuple[Mutant, ...] = (
    mutant(
        "real money without the switch", "gate.py", 'if self._world == "live" and', "if False and"
    ),
    mutant(
        "a fault of Redis stops nothing",
        "gate.py",
        "(fault := self._fault() or self._account_fault())",
        "(fault := self._account_fault())",
    ),
    mutant(
        "an account that isn't followed stops nothing",
        "gate.py",
        "(fault := self._fault() or self._account_fault())",
        "(fault := self._fault())",
    ),
    mutant(
        "orders wait for a refused key",
        "gate.py",
        'return None if fault.reason_code == "key_refused" else fault',
        "return fault",
    ),
    mutant(
        "orders don't wait for the account",
        "gate.py",
        'return None if fault.reason_code == "key_refused" else fault',
        "return None",
    ),
    mutant(
        "orders don't wait for the book",
        "gate.py",
        "return None if self._book(symbol) is not None else",
        "return None if True else",
    ),
    mutant(
        "a halt stops nothing",
        "order_limits.py",
        'return None if reason is None else Refused("halted"',
        'return None if True else Refused("halted"',
    ),
    mutant(
        "a halt that can't be read stops nothing",
        "gate.py",
        'return Refused("halt_unreadable", f"the halt switch can\'t be read: {e}")',
        "return None",
    ),
    mutant(
        "a halt that comes while open orders are looked at is not seen",
        "order_limits.py",
        "            or _halted(look.halt)\n",
        "",
    ),
    mutant(
        "a connector overwrites the reason of a halt",
        "halt_watch.py",
        "self._redis.setnx(HALT, reason)",
        "self._redis.set(HALT, reason)",
    ),
    mutant(
        "room for one write begins the count of a full Redis anew",
        "halt_watch.py",
        "        self._refused.append(False)\n",
        "        self._refused.clear()\n",
    ),
    mutant(
        "a full Redis is never forgotten",
        "halt_watch.py",
        "        self._refused.append(False)\n",
        "",
    ),
    mutant("a halted symbol is traded", "gate.py", "if not instrument.trading:", "if False:"),
    mutant("no book, no limits", "gate.py", "return _out_of_sync(command.symbol)", "return None"),
    mutant(
        "a market order is judged at the best price",
        "gate.py",
        'return _worst_price(book, record.order, Decimal(record.sent_quantity or "0"))',
        "return Decimal(str(book.asks.best))",
    ),
    mutant(
        "a market order beyond the book goes out",
        "gate.py",
        "if left <= 0:\n                return Decimal(str(price))\n    return None",
        "if left <= 0:\n                return Decimal(str(price))\n    return Decimal(0)",
    ),
    mutant(
        "a market order is judged on its own side",
        "gate.py",
        "for depth in (20, len(other_side)):",
        'other_side = book.bids if command.side == "buy" else book.asks\n    for depth in (20, len(other_side)):',
    ),
    mutant("any notional", "gate.py", "if notional > most:", "if False:"),
    mutant(
        "the notional limit is below itself",
        "gate.py",
        "if notional > most:",
        "if notional >= most:",
    ),
    mutant("any buy price", "gate.py", "if price > most:", "if False:"),
    mutant(
        "any sell price",
        "gate.py",
        "if price < least:\n                return _off",
        "if False:\n                return _off",
    ),
    mutant("the collar is the wrong way round for buys", "gate.py", "(1 + collar)", "(1 - collar)"),
    mutant(
        "the collar is the wrong way round for sells", "gate.py", "(1 - collar)", "(1 + collar)"
    ),
    mutant(
        "quantities are rounded up",
        "rules.py",
        "_on_step(command.quantity, allowed.step, up=False)",
        "_on_step(command.quantity, allowed.step, up=True)",
    ),
    mutant(
        "prices are rounded to the aggressive side",
        "rules.py",
        'up = command.side == "sell"',
        'up = command.side == "buy"',
    ),
    mutant(
        "noise moves a step",
        "rules.py",
        "if abs(steps - nearest) <= max(",
        "if abs(steps - nearest) < 0 * max(",
    ),
    mutant("everything is noise", "rules.py", 'NOISE = Decimal("1e-9")', 'NOISE = Decimal("0.4")'),
    mutant("too small goes out", "rules.py", "elif value < least:", "elif False:"),
    mutant("too large goes out", "rules.py", "elif allowed.most and value > most:", "elif False:"),
    mutant(
        "too little worth goes out", "rules.py", "if notional < rules.least_notional:", "if False:"
    ),
    mutant(
        "too much worth goes out",
        "rules.py",
        "elif rules.most_notional and notional > rules.most_notional:",
        "elif False:",
    ),
    mutant(
        "of two steps the smaller counts",
        "rules.py",
        "step=max(one.step, other.step)",
        "step=min(one.step, other.step)",
    ),
    mutant(
        "the rules of market orders are left out",
        "rules.py",
        "if market else rules.quantity",
        "if False else rules.quantity",
    ),
    mutant(
        "no limit of notional is no limit",
        "gate.py",
        'return _unnamed("max_notional", instrument.quote)',
        "return None",
    ),
    mutant(
        "no limit of quantity is no limit",
        "gate.py",
        'return _unnamed("max_quantity", instrument.base)',
        "return None",
    ),
    mutant(
        "no limit of what is held is no limit",
        "gate.py",
        'return _unnamed("max_position", instrument.quote)',
        "return None",
    ),
    mutant(
        "no limit of what is lost is no limit",
        "gate.py",
        'return _unnamed("max_daily_loss", instrument.quote)',
        "return None",
    ),
    mutant("any quantity", "gate.py", "if quantity > most:", "if False:"),
    mutant(
        "any pace",
        "order_limits.py",
        "(by_bot if who == BOT else by_others) > self._each * times:",
        "False:",
    ),
    mutant(
        "one order more a minute",
        "order_limits.py",
        "(by_bot if who == BOT else by_others) > self._each * times:",
        "(by_bot if who == BOT else by_others) > self._each * times + 1:",
    ),
    mutant(
        "the bot's pace is everybody's",
        "order_limits.py",
        "(by_bot if who == BOT else by_others) > self._each * times:",
        "by_bot + by_others > self._each * times:",
    ),
    mutant(
        "no limit of all together",
        "order_limits.py",
        "elif by_bot + by_others > self._all * times:",
        "elif False:",
    ),
    mutant(
        "orders are not counted",
        "order_limits.py",
        '("ZADD", own, now, name),',
        '("ZREM", own, name),',
    ),
    mutant(
        "orders count for ever",
        "order_limits.py",
        '("ZREMRANGEBYSCORE", own, "-inf", now - MINUTE_MS),',
        '("TIME",),',
        ('lately = (f"({now - MINUTE_MS}", now + MINUTE_MS)', 'lately = ("-inf", "+inf")'),
    ),
    mutant(
        "any number of open orders",
        "order_limits.py",
        "if others < self._most_open * times:",
        "if True:",
    ),
    mutant(
        "an exit has the pace of an entry",
        "order_limits.py",
        "if pace is not None and not self._held.reduces(proposal, counted.positions, ()):",
        "if pace is not None:",
    ),
    mutant(
        "a loop of exits has any pace",
        "order_limits.py",
        "            self._pace(record, counted, times)\n            or self._too_many",
        "            (self._pace(record, counted, times) if times == 1 else None)\n            or self._too_many",
    ),
    mutant(
        "what is open leaves room for an exit beyond what is held",
        "order_limits.py",
        "if self._held.reduces(proposal, look.positions, beside) else 1",
        "if self._held.reduces(proposal, look.positions, ()) else 1",
    ),
    mutant(
        "every order has the pace of an exit",
        "order_limits.py",
        "if self._held.reduces(proposal, look.positions, beside) else 1",
        "if True else 1",
        ("if pace is not None and not self._held.reduces(", "if False and ("),
    ),
    mutant("what is refused counts", "order_limits.py", "await self._take_back(record)", "pass"),
)
