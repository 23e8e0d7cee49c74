"""Bugs on an order's way from its claim to its answer."""

from tests.mutation.mutant import Mutant, mutant

PLACING: tuple[Mutant, ...] = (
    mutant("what isn't sendable is sent", "placing.py", "if not record.sendable:", "if False:"),
    mutant(
        "the look before sending is left out",
        "placing.py",
        "if look_first and await",
        "if False and await",
    ),
    mutant(
        "no look where it is refused now",
        "placing.py",
        "if look_first and await",
        "if look_first and refusal is None and await",
    ),
    mutant(
        "the desk's refusal is ignored",
        "placing.py",
        "refusal = refusal or await self.venue.check(record)",
        "refusal = await self.venue.check(record)",
    ),
    mutant(
        "the switches are not checked",
        "placing.py",
        "refusal = refusal or await self.venue.check(record)",
        "pass",
    ),
    mutant(
        "the switches are checked before the look only",
        "placing.py",
        "if look_first and await",
        "checked = await self.venue.check(record)\n        if look_first and await",
        ("refusal = refusal or await self.venue.check(record)", "refusal = refusal or checked"),
    ),
    mutant(
        "sent twice",
        "placing.py",
        "outcome = await self.venue.place(record)",
        "outcome = await self.venue.place(record)\n"
        "        if isinstance(outcome, Unclear):\n"
        "            outcome = await self.venue.place(record)",
    ),
    mutant(
        "a refusal is taken for no answer",
        "placing.py",
        "case Refused() as refusal:\n                await self._reject(record, entry, refusal)",
        "case Refused() as refusal:\n                await self.resolve(record, entry)",
    ),
    mutant(
        "no answer is taken for a refusal",
        "placing.py",
        "await self._say_unknown(record, entry, message)\n                await self.resolve(",
        'await self._reject(record, entry, Refused("no_answer", message))\n'
        "                self._deadline(record) or await self.resolve(",
    ),
    mutant(
        "unknown is not said",
        "placing.py",
        "await self._say_unknown(record, entry, message)\n                await self.resolve(",
        "await self.resolve(",
    ),
    mutant(
        "unknown is not said while resolving",
        "placing.py",
        'if self._past_deadline(record) and evidence.first("unknown"):',
        "if False:",
    ),
    mutant(
        "unknown is said at each query",
        "placing.py",
        'self._past_deadline(record) and evidence.first("unknown")',
        "self._past_deadline(record)",
    ),
    mutant(
        "unknown is said too early",
        "placing.py",
        'self._past_deadline(record) and evidence.first("unknown")',
        'evidence.first("unknown")',
    ),
    mutant(
        "unknown is not said where the venue refuses",
        "placing.py",
        'if evidence.first("refused"):',
        "if False:",
    ),
    mutant(
        "unknown is said at each refusal of the venue",
        "placing.py",
        'if evidence.first("refused"):',
        "if True:",
    ),
    mutant(
        "a venue that refuses is asked all the time",
        "placing.py",
        "wait = self.waits.refused_poll",
        "pass",
    ),
    mutant(
        "a venue that refuses is asked for ever",
        "placing.py",
        "if evidence.refused_for_too_long(self.clock.monotonic()):",
        "if False:",
    ),
    mutant(
        "a venue that refuses is believed at once",
        "placing.py",
        "now - self._first_refusal >= self._waits.refused_for",
        "True",
    ),
    mutant(
        "the day of refusals starts over at each",
        "placing.py",
        "self._first_refusal = min(self._first_refusal, now)",
        "self._first_refusal = now",
    ),
    mutant(
        "no correct after a provisional record", "placing.py", "if kept.provisional:", "if False:"
    ),
    mutant(
        "the entry id is compared after the terms",
        "placing.py",
        "if found.entry_id == entry.entry_id:",
        "if found.entry_id == entry.entry_id and same_terms(found.order, command):",
    ),
    mutant(
        "another entry's order is taken for this one's",
        "placing.py",
        "if found.entry_id == entry.entry_id:",
        "if same_terms(found.order, command):",
    ),
    mutant(
        "terms are never compared",
        "placing.py",
        "elif same_terms(found.order, command):",
        "elif True:",
    ),
    mutant(
        "the same order again is a duplicate",
        "placing.py",
        "elif same_terms(found.order, command):",
        "elif False:",
    ),
    mutant(
        "a closed record is resolved again",
        "placing.py",
        'if found.state == "closed":\n            await',
        "if False:\n            await",
    ),
    mutant(
        "an unanswered entry is acknowledged",
        "placing.py",
        'if found.state == "closed":\n            await',
        "if True:\n            await",
    ),
    mutant(
        "a replay is given before there is an answer",
        "placing.py",
        'found is not None and found.state == "closed"',
        "found is not None",
    ),
    mutant(
        "a replay waits for ever for a dead process",
        "placing.py",
        "while self.venue.milliseconds() <= self._deadline(record):",
        "while True:",
    ),
    mutant(
        "a replay resolves what is being carried out",
        "placing.py",
        "while self.venue.milliseconds() <= self._deadline(record):",
        "while False:",
    ),
    # Evidence.
    mutant(
        "one miss is enough",
        "placing.py",
        "self._misses >= self._waits.misses and",
        "",
    ),
    mutant(
        "misses are enough at once",
        "placing.py",
        "and now - self._first_miss >= self._waits.missed_for",
        "",
    ),
    mutant("misses are not counted", "placing.py", "self._misses += 1", "pass"),
    mutant(
        "the deadline is ignored",
        "placing.py",
        "if self._past_deadline(record) and evidence.missed(",
        "if evidence.missed(",
    ),
    mutant(
        "the deadline has no margin",
        "placing.py",
        "record.timestamp + record.validity + self.waits.margin * 1000",
        "record.timestamp + record.validity",
    ),
    mutant(
        "the deadline leaves out the validity",
        "placing.py",
        "record.timestamp + record.validity + self.waits",
        "record.timestamp + self.waits",
    ),
    mutant(
        "the final search is skipped",
        "placing.py",
        "order = await self.venue.search(record) or order\n            evidence",
        "evidence",
    ),
    mutant("an order is looked for for ever", "placing.py", "if evidence.complete:", "if False:"),
    mutant(
        "the first look is believed", "placing.py", "if evidence.complete:", "if order is None:"
    ),
    mutant(
        "what was published is not looked at",
        "placing.py",
        "published is not None and is_ours(published, record)",
        "False",
    ),
    mutant(
        "what was published of another order is believed",
        "placing.py",
        "published is not None and is_ours(published, record)",
        "published is not None",
    ),
    mutant(
        "somebody else's order is accepted",
        "placing.py",
        "if order is not None and is_ours(order, record):\n                    return await self._accept",
        "if order is not None:\n                    return await self._accept",
    ),
    mutant(
        "somebody else's order ends the search for ours",
        "placing.py",
        "if order is not None and is_ours(order, record):\n            return order",
        "if order is not None:\n            return order",
    ),
    mutant(
        "somebody else's order is never named",
        "placing.py",
        "return await self._not_found(record, entry, order)",
        "return await self._not_found(record, entry, None)",
    ),
    mutant(
        "not found is no longer watched for",
        "placing.py",
        "record.closed(answer, provisional=True)",
        "record.closed(answer)",
    ),
    mutant(
        "not found is said as if it were certain",
        "placing.py",
        "at, record, provisional=True)",
        "at, record)",
    ),
    mutant(
        "an unresolvable order is given up for certain",
        "placing.py",
        'return await self._reject_provisionally(record, entry, Refused("unresolvable", message))',
        'return await self._reject(record, entry, Refused("unresolvable", message))',
    ),
    # Looking first.
    mutant(
        "the look leaves out the search",
        "placing.py",
        "order = await self.venue.search(record) or order\n                break",
        "break",
    ),
    mutant(
        "the look sees somebody else's order only",
        "placing.py",
        "if order is None or not is_ours(order, record):",
        "if order is None:",
    ),
    mutant(
        "a silent venue is not said to be unknown",
        "placing.py",
        "if not unknown and self.venue.milliseconds() > until:",
        "if False:",
    ),
    mutant(
        "a silent venue is unknown again and again",
        "placing.py",
        "if not unknown and self.venue.milliseconds() > until:",
        "if self.venue.milliseconds() > until:",
    ),
    mutant(
        "sent late, after unknown was said",
        "placing.py",
        'refusal = refusal or Refused("expired", message)',
        "pass",
    ),
    mutant(
        "a look that the venue refuses is no obstacle",
        "placing.py",
        "except RejectedError:\n                await self.resolve(record, entry)\n                return True",
        "except RejectedError:\n                order = None\n                break",
    ),
    mutant(
        "the look accepts somebody else's order",
        "placing.py",
        "if order is not None and is_ours(order, record):\n            await self._accept",
        "if order is not None:\n            await self._accept",
    ),
    mutant(
        "sends an id that another order has",
        "placing.py",
        "elif order is not None:\n            await self._reject(record, entry, _taken_by(order))",
        "elif False:\n            pass",
        ("return order is not None or refusal is not None", "return refusal is not None"),
    ),
    mutant(
        "an entry whose id another took gets no answer",
        "placing.py",
        "if kept.entry_id == record.entry_id:",
        "if True:",
    ),
    mutant(
        "the journal is asked once only",
        "placing.py",
        "            except TransientError as e:\n                trouble.seen(e)\n",
        "            except TransientError as e:\n                trouble.seen(e)\n                raise\n",
    ),
    # Which order is ours.
    mutant("any side is ours", "identity.py", "and order.side in (None, command.side)", ""),
    mutant(
        "any symbol is ours",
        "identity.py",
        "order.symbol in (None, command.symbol)\n        and",
        "",
    ),
    mutant("any type is ours", "identity.py", "and _type_fits(order, command)", ""),
    mutant("any price is ours", "identity.py", "and _price_fits(order, record, command)", ""),
    mutant("any quantity is ours", "identity.py", "and _quantity_fits(order, record, command)", ""),
    mutant(
        "the price must be the same to the tick", "identity.py", "<= sent * TICK_CHANGE", "<= 0"
    ),
    mutant("a market order's price is compared", "identity.py", 'command.type == "market" or', ""),
    mutant(
        "a larger order is ours",
        "identity.py",
        "<= max(asked * (1 + NOISE), sent)",
        "<= 2 * max(asked, sent)",
    ),
    mutant(
        "a smaller order is ours, however old",
        "identity.py",
        "least = Decimal(0) if order.created >= record.timestamp - CLOCK_ERROR_MS else sent",
        "least = Decimal(0)",
    ),
    mutant(
        "an amended order is not ours",
        "identity.py",
        "least = Decimal(0) if order.created >= record.timestamp - CLOCK_ERROR_MS else sent",
        "least = sent",
    ),
    mutant(
        "an order is older than its record by the clocks' error",
        "identity.py",
        "record.timestamp - CLOCK_ERROR_MS",
        "record.timestamp",
    ),
    mutant(
        "of several orders the first is ours",
        "identity.py",
        "if is_ours(o, record)), same_id",
        "), same_id",
    ),
    mutant(
        "an order with another id is ours",
        "identity.py",
        "[o for o in orders if o.client_order_id == record.client_order_id]",
        "list(orders)",
    ),
    mutant("all commands are the same", "identity.py", "return one == other", "return True"),
    # Records and answers.
    mutant("closing keeps the state", "record.py", 'state="closed", ', ""),
    mutant("closing forgets the answer", "record.py", ", answer=answer.model_dump_json()", ""),
    mutant("closing forgets that it is provisional", "record.py", ", provisional=provisional", ""),
    mutant("unknown isn't noted", "record.py", 'state="unknown")', 'state="taken")'),
    mutant(
        "accepted without the venue's id",
        "answers.py",
        '"order_id": order.order_id, ',
        "",
    ),
    mutant(
        "what is filled already is left out", "answers.py", "float(order.filled_quantity)", "0.0"
    ),
    mutant("provisional is not said", "answers.py", '"provisional": provisional,', ""),
    mutant(
        "a replay names the first entry",
        "answers.py",
        '"command_id": entry.entry_id, "replay"',
        '"replay"',
    ),
    mutant("a replay looks like the first answer", "answers.py", ', "replay": True', ""),
    mutant("an answer names no entry", "answers.py", "command_id=entry_id,", ""),
    mutant(
        "what was sent is not echoed", "answers.py", "record.sent_price if record else None", "None"
    ),
    mutant("a refusal gives no reason", "answers.py", '"reason_code": refusal.reason_code,', ""),
    # Reading.
    mutant("a name may stand there twice", "parse.py", "    if twice:\n", "    if False:\n"),
    mutant("a command may be of any size", "parse.py", "if len(data) > MOST_BYTES:", "if False:"),
    mutant("half a character is text", "parse.py", "if not _is_text([name, value]):", "if False:"),
    mutant(
        "defaults win over what was sent",
        "parse.py",
        "{**defaults, **_object(data)}",
        "{**_object(data), **defaults}",
    ),
    mutant("large integers crash", "parse.py", ", parse_int=float", ""),
    # Ghosts.
    mutant(
        "anybody's order is a ghost",
        "ghosts.py",
        "if order is None or not is_ours(order, record):",
        "if order is None:",
    ),
    mutant("ghosts are looked for once an hour", "ghosts.py", "EVERY = 60.0", "EVERY = 3600.0"),
    mutant(
        "a ghost is not corrected", "ghosts.py", "await journal.correct(corrected, order)", "pass"
    ),
    mutant(
        "one unresolvable ghost ends the watch",
        "ghosts.py",
        "except (TransientError, RejectedError) as e:",
        "except TransientError as e:",
    ),
    # Without keys.
    mutant(
        "without keys new orders are taken",
        "keyless.py",
        "return Refused(NO_CREDENTIALS, NO_KEYS)",
        'return Sized("1", None)',
    ),
    mutant(
        "without keys nothing is found",
        "keyless.py",
        "raise TransientError(NO_KEYS)",
        "return None",
    ),
    mutant(
        "without keys unknown is not said",
        "keyless.py",
        "await self._until_done(partial(self.journal.unclear, record, entry, answer))",
        "pass",
    ),
    mutant(
        "without keys it looks first",
        "keyless.py",
        "entry, refusal, look_first=False)",
        "entry, refusal, look_first=True)",
    ),
    mutant(
        "without keys the walk ends the process",
        "keyless.py",
        "with suppress(_LeftOpenError):\n            await super().recover(record)",
        "await super().recover(record)",
    ),
)
