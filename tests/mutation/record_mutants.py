"""Bugs in which order is ours, in records, answers, reading and ghosts; and without keys."""

from tests.mutation.mutant import Mutant, mutant

RECORD: tuple[Mutant, ...] = (
    mutant(
        "any side is ours", "execution/identity.py", "and order.side in (None, command.side)", ""
    ),
    mutant(
        "any symbol is ours",
        "execution/identity.py",
        "order.symbol in (None, command.symbol)\n        and",
        "",
    ),
    mutant("any type is ours", "execution/identity.py", "and _type_fits(order, command)", ""),
    mutant(
        "any price is ours", "execution/identity.py", "and _price_fits(order, record, command)", ""
    ),
    mutant(
        "any quantity is ours",
        "execution/identity.py",
        "and _quantity_fits(order, record, command)",
        "",
    ),
    mutant(
        "the price must be the same to the tick",
        "execution/identity.py",
        "<= sent * TICK_CHANGE",
        "<= 0",
    ),
    mutant(
        "a market order's price is compared",
        "execution/identity.py",
        'command.type == "market" or',
        "",
    ),
    mutant(
        "a larger order is ours",
        "execution/identity.py",
        "<= max(asked * (1 + NOISE), sent)",
        "<= 2 * max(asked, sent)",
    ),
    mutant(
        "a smaller order is ours, however old",
        "execution/identity.py",
        "least = Decimal(0) if order.created >= record.timestamp - CLOCK_ERROR_MS else sent",
        "least = Decimal(0)",
    ),
    mutant(
        "an amended order is not ours",
        "execution/identity.py",
        "least = Decimal(0) if order.created >= record.timestamp - CLOCK_ERROR_MS else sent",
        "least = sent",
    ),
    mutant(
        "an order is older than its record by the clocks' error",
        "execution/identity.py",
        "record.timestamp - CLOCK_ERROR_MS",
        "record.timestamp",
    ),
    mutant(
        "of several orders the first is ours",
        "execution/identity.py",
        "if is_ours(o, record)), same_id",
        "), same_id",
    ),
    mutant(
        "an order with another id is ours",
        "execution/identity.py",
        "[o for o in orders if o.client_order_id == record.client_order_id]",
        "list(orders)",
    ),
    mutant(
        "all commands are the same", "execution/identity.py", "return one == other", "return True"
    ),
    mutant("closing keeps the state", "execution/record.py", 'state="closed",', ""),
    mutant(
        "closing forgets the answer", "execution/record.py", "answer=answer.model_dump_json(),", ""
    ),
    mutant(
        "closing forgets that it is provisional",
        "execution/record.py",
        "provisional=provisional,",
        "",
    ),
    mutant("closing forgets that it was never sent", "execution/record.py", "unsent=unsent,", ""),
    mutant("unknown isn't noted", "execution/record.py", 'state="unknown")', 'state="taken")'),
    mutant(
        "accepted without the venue's id",
        "commands/answers.py",
        '"order_id": order.order_id, ',
        "",
    ),
    mutant(
        "what is filled already is left out",
        "commands/answers.py",
        "float(order.filled_quantity)",
        "0.0",
    ),
    mutant("provisional is not said", "commands/answers.py", '"provisional": provisional,', ""),
    mutant(
        "a replay names the first entry",
        "commands/answers.py",
        '"command_id": entry.entry_id, "replay"',
        '"replay"',
    ),
    mutant("a replay looks like the first answer", "commands/answers.py", ', "replay": True', ""),
    mutant("an answer names no entry", "commands/answers.py", "command_id=entry_id,", ""),
    mutant(
        "what was sent is not echoed",
        "commands/answers.py",
        "record.sent_price if record else None",
        "None",
    ),
    mutant(
        "a refusal gives no reason",
        "commands/answers.py",
        '"reason_code": refusal.reason_code,',
        "",
    ),
    mutant(
        "a name may stand there twice", "commands/parse.py", "    if repeated:\n", "    if False:\n"
    ),
    mutant(
        "a command may be of any size",
        "commands/parse.py",
        "if (size := original_size(data)) > MAX_BYTES:",
        "if (size := original_size(data)) < 0:",
    ),
    mutant(
        "half a character is text",
        "commands/parse.py",
        "if not _is_text([name, value]):",
        "if False:",
    ),
    mutant(
        "defaults win over what was sent",
        "commands/parse.py",
        "{**defaults, **_object(data)}",
        "{**_object(data), **defaults}",
    ),
    mutant("large integers crash", "commands/parse.py", ", parse_int=float", ""),
    mutant(
        "anybody's order is a ghost",
        "execution/late_order_watch.py",
        "if order is None or not is_ours(order, record):",
        "if order is None:",
    ),
    mutant(
        "ghosts are looked for once an hour",
        "execution/late_order_watch.py",
        "INTERVAL = 60.0",
        "INTERVAL = 3600.0",
    ),
    mutant(
        "a ghost is not corrected",
        "execution/late_order_watch.py",
        "await journal.correct(corrected, order)",
        "pass",
    ),
    mutant(
        "one unresolvable ghost ends the watch",
        "execution/late_order_watch.py",
        "except (TransientError, RejectedError) as e:",
        "except TransientError as e:",
    ),
    mutant(
        "without keys new orders are taken",
        "execution/no_credentials.py",
        "return Rejection(NO_CREDENTIALS, NO_KEYS)",
        'return RoundedOrder("1", None)',
    ),
    mutant(
        "without keys nothing is found",
        "execution/no_credentials.py",
        "raise TransientError(NO_KEYS)",
        "return None",
    ),
    mutant(
        "without keys unknown is not said",
        "execution/no_credentials.py",
        "await self._until_done(partial(self.journal.publish_unknown, record, entry, answer))",
        "pass",
    ),
    mutant(
        "without keys it looks first",
        "execution/no_credentials.py",
        "entry, refusal, query_first=False)",
        "entry, refusal, query_first=True)",
    ),
    mutant(
        "without keys the walk ends the process",
        "execution/no_credentials.py",
        "with suppress(_LeftOpenError):\n            await super().recover(record)",
        "await super().recover(record)",
    ),
)
