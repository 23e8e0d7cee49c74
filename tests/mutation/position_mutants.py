"""Bugs in what is held and lost, and in the limits of that."""

from tests.mutation.mutant import Mutant, mutant

POSITIONS: tuple[Mutant, ...] = (
    mutant(
        "a fill is booked as often as it is told",
        "positions.py",
        "_sum(before, now, rate)",
        "_sum(None, now, rate)",
    ),
    mutant(
        "what is sold is held",
        "positions.py",
        'sign = 1 if order.side == "buy" else -1',
        "sign = 1",
    ),
    mutant(
        "a fee in the base asset is held",
        "positions.py",
        "return sign * told.filled - in_base,",
        "return sign * told.filled,",
    ),
    mutant(
        "a fee in a third asset costs nothing", "positions.py", "if any(fee.values()):", "if False:"
    ),
    mutant(
        "a day begins at an old price",
        "positions.py",
        "waits = mark is None and symbol in self._configured and position.quantity",
        "waits = False",
    ),
    mutant(
        "orders placed elsewhere are held",
        "ledger.py",
        "if record is not None:\n            self._book(",
        "if True:\n            self._book(",
    ),
    mutant(
        "of two transactions the later one overwrites what is held",
        "ledger.py",
        "keys = [*told_keys(self._connector, order), self._positions]",
        "keys = told_keys(self._connector, order)",
    ),
    mutant(
        "a day that goes back begins again",
        "services/_runtime/position.py",
        "if self.day < day:",
        "if self.day != day:",
    ),
    mutant(
        "gains count as losses",
        "services/_runtime/position.py",
        "return -sum((profit for profit in profits if profit is not None), NOTHING)",
        "return sum((abs(profit) for profit in profits if profit is not None), NOTHING)",
    ),
    mutant(
        "an order without an answer isn't on its way",
        "open_orders.py",
        "for name in waiting | taken if name in ours}",
        "for name in taken if name in ours}",
    ),
    mutant(
        "what is filled is on its way too",
        "open_orders.py",
        "OpenOrder(each.symbol, side, each.remaining)",
        "OpenOrder(each.symbol, side, each.quantity)",
    ),
    mutant(
        "an order that ended is on its way",
        "open_orders.py",
        "if each.closed:",
        "if False:",
    ),
    mutant(
        "those that came later are on their way",
        "open_orders.py",
        "for name in passed & {*unanswered} & {*sending}}",
        "for name in {*unanswered} & {*sending}}",
    ),
    mutant(
        "orders placed elsewhere are on their way",
        "open_orders.py",
        "if name in waiting or name not in ours or ours[name].order.symbol != each.symbol:",
        "if name in waiting:",
        ("side = each.side or ours[name].order.side", 'side = each.side or "buy"'),
    ),
    mutant(
        "any position", "position_limits.py", "if abs(after) * order.price > most:", "if False:"
    ),
    mutant(
        "the largest position is below itself",
        "position_limits.py",
        "if abs(after) * order.price > most:",
        "if abs(after) * order.price >= most:",
    ),
    mutant("any loss", "position_limits.py", "if lost >= most:", "if False:"),
    mutant(
        "the largest loss is above itself", "position_limits.py", "lost >= most:", "lost > most:"
    ),
    mutant(
        "a loss stops what makes a position smaller",
        "position_limits.py",
        "if self.reduces(order, positions, others):",
        "if False:",
    ),
    mutant(
        "an exit may be larger than what is held",
        "position_limits.py",
        "return held * order.sign < 0 and order.quantity <= abs(held)",
        "return held * order.sign < 0",
    ),
    mutant(
        "what is open the other way makes room",
        "position_limits.py",
        "if each[:2] == (order.symbol, order.side)",
        "if each[0] == order.symbol",
    ),
    mutant(
        "what is open of another market counts",
        "position_limits.py",
        "if each[:2] == (order.symbol, order.side)",
        "if each.side == order.side",
    ),
    mutant(
        "other money's losses count",
        "position_limits.py",
        'if s.partition("/")[2] == quote]',
        "if quote]",
    ),
    mutant(
        "losses are valued at the last fill's price",
        "position_limits.py",
        "held.price = self._mark(symbol) or held.price",
        "self._mark(symbol)",
    ),
    mutant(
        "the quick look takes open orders for none",
        "position_limits.py",
        "others * settings.risk_max_quantity[base]",
        "0 * settings.risk_max_quantity[base]",
    ),
    mutant(
        "the quick look trusts an earlier run's orders",
        "position_limits.py",
        "self._all_small = False",
        "self._all_small = True",
    ),
    mutant(
        "the quick look sees no loss",
        "position_limits.py",
        "and self._lost(positions, quote) < settings.risk_max_daily_loss[quote]",
        "",
    ),
    mutant(
        "nothing held is looked at",
        "order_limits.py",
        "if pace is None and few and self._held.surely_kept(proposal, counted.positions, others):",
        "if pace is None and few:",
    ),
)
