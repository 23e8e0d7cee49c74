"""Bugs in what is read from Redis and written to it; a real server notices most of them."""

from tests.mutation.mutant import Mutant, mutant

REDIS: tuple[Mutant, ...] = (
    mutant(
        "an id goes into the book of record after its claim",
        "commands/redis_command_queue.py",
        '            ("ZADD", unanswered_key(self._connector), "NX", moment, record.client_order_id),\n'
        '            ("SET", key, dump(record), "NX", "GET"),\n',
        '            ("SET", key, dump(record), "NX", "GET"),\n'
        '            ("ZADD", unanswered_key(self._connector), "NX", moment, record.client_order_id),\n',
        ("_, found, saved, (", "found, _, remembered, ("),
    ),
    mutant(
        "a claim isn't put into the book of record",
        "commands/redis_command_queue.py",
        '("ZADD", unanswered_key(self._connector), "NX", moment, record.client_order_id),',
        '("TIME",),',
    ),
    mutant(
        "asking again moves an order in the book of record",
        "commands/redis_command_queue.py",
        'unanswered_key(self._connector), "NX", moment',
        "unanswered_key(self._connector), moment",
    ),
    mutant(
        "a claim overwrites another's",
        "commands/redis_command_queue.py",
        'dump(record), "NX", "GET")',
        'dump(record), "GET")',
    ),
    mutant(
        "the look at the memory after a claim is left out",
        "commands/redis_command_queue.py",
        "if saved != self._saved_data_loss:",
        "if False:",
    ),
    mutant(
        "what it remembers is not kept for the claims",
        "commands/redis_command_queue.py",
        '        self._saved_data_loss = msgspec.json.encode(record)\n        write = ("SET", self._data_loss_key, self._saved_data_loss)',
        '        write = ("SET", self._data_loss_key, msgspec.json.encode(record))',
    ),
    mutant(
        "a memory that was wiped since it was read is written back",
        "commands/redis_command_queue.py",
        '_, found = await self._call(self._ask_all, ("WATCH", key), ("GET", key))',
        '(found,) = await self._call(self._ask_all, ("GET", key))',
    ),
    mutant(
        "a memory that could not be noted counts as noted",
        "commands/redis_command_queue.py",
        "if done is None:",
        "if False:",
    ),
    mutant(
        "a deleted entry looks like an empty one",
        "commands/redis_command_queue.py",
        "deleted=not fields,",
        "deleted=False,",
    ),
    mutant(
        "which server it is is asked once",
        "commands/redis_command_queue.py",
        "self._identity = None  # the",
        "pass  # the",
    ),
    mutant(
        "groups begin at their end",
        "commands/redis_command_queue.py",
        'id="0", mkstream=True',
        'id="$", mkstream=True',
    ),
    mutant(
        "a group that was made isn't reported",
        "commands/redis_command_queue.py",
        "                made = True",
        "                pass",
    ),
    mutant(
        "the lease is everybody's",
        "commands/redis_command_queue.py",
        "if await self._call(self._redis.get, key) != self._consumer.encode():",
        "if False:",
    ),
    mutant(
        "the lease never ends",
        "commands/redis_command_queue.py",
        ", nx=True, px=self._lease_ms)",
        ", nx=True)",
    ),
    mutant(
        "the lease isn't renewed",
        "commands/redis_command_queue.py",
        "await self._call(self._redis.pexpire, key, self._lease_ms)",
        "pass",
    ),
    mutant(
        "takes over at once",
        "commands/redis_command_queue.py",
        "self._take_over_after_ms,\n",
        "0,\n",
    ),
    mutant(
        "what was taken over looks new",
        "commands/redis_command_queue.py",
        "self._entries(stream, reply[1], redelivered=True)",
        "self._entries(stream, reply[1], redelivered=False)",
    ),
    mutant(
        "what lies pending looks new",
        "commands/redis_command_queue.py",
        "await self._read({stream: position}, redelivered=True)",
        "await self._read({stream: position})",
    ),
    mutant(
        "the newest entry is the last stream's",
        "commands/redis_command_queue.py",
        'newest = max(newest, int(entries[0][0].partition(b"-")[0]))',
        'newest = int(entries[0][0].partition(b"-")[0])',
    ),
    mutant(
        "the newest entry is the oldest",
        "commands/redis_command_queue.py",
        "self._redis.xrevrange, stream, count=1",
        "self._redis.xrange, stream, count=1",
    ),
    # The journal.
    mutant(
        "that an entry was answered is not written at closing",
        "execution/redis_journal.py",
        'change.write("SET", answered, "", "EX", kept_for)',
        "pass",
    ),
    mutant(
        "that an entry was answered is not looked at in closing",
        "execution/redis_journal.py",
        "if was_answered is None:\n                    self._publish",
        "if True:\n                    self._publish",
    ),
    mutant(
        "that an entry was answered is not written",
        "execution/redis_journal.py",
        'change.write("SET", key, "", "EX", kept_for)',
        "pass",
    ),
    mutant(
        "that an entry was answered is not looked at",
        "execution/redis_journal.py",
        "if was_answered is None:\n                if dead_letter",
        "if True:\n                if dead_letter",
    ),
    mutant(
        "a closed order stays in the book of record",
        "execution/redis_journal.py",
        'change.write("ZREM", self._unanswered, record.client_order_id)',
        "pass",
    ),
    mutant(
        "a closed entry is not acknowledged",
        "execution/redis_journal.py",
        "            self._acknowledge(change, entry)\n            return now",
        "            return now",
    ),
    mutant(
        "a closed entry is acknowledged on its own",
        "execution/redis_journal.py",
        "            self._acknowledge(change, entry)\n            return now",
        "            await self._redis.xack(\n"
        "                str(CommandStream(self._connector, entry.command)), self._connector, entry.entry_id\n"
        "            )\n"
        "            return now",
    ),
    mutant(
        "an answered entry is not acknowledged",
        "execution/redis_journal.py",
        "            self._acknowledge(change, entry)\n\n",
        "            pass\n\n",
    ),
    mutant(
        "a record that another entry has is closed",
        "execution/redis_journal.py",
        "if now.entry_id != record.entry_id:",
        "if False:",
    ),
    mutant(
        "a closed record is closed again",
        "execution/redis_journal.py",
        'if known is None or now.state != "closed":',
        "if True:",
    ),
    mutant(
        "the answer is not published",
        "execution/redis_journal.py",
        'self._publish(change, self._responses, record.answer or "")',
        "pass",
    ),
    mutant(
        "unknown is published again",
        "execution/redis_journal.py",
        'if now.state == "taken" and now.entry_id',
        "if now.entry_id",
    ),
    mutant(
        "unknown of another entry's record",
        "execution/redis_journal.py",
        'now.state == "taken" and now.entry_id == record.entry_id',
        'now.state == "taken"',
    ),
    mutant(
        "unknown isn't noted in the record",
        "execution/redis_journal.py",
        'change.write("SET", key, dump(now.marked_unknown()))',
        "pass",
    ),
    mutant(
        "a record that was lost is not put into the book again",
        "execution/redis_journal.py",
        'change.write("ZADD", self._unanswered, "NX", moment, record.client_order_id)',
        "pass",
    ),
    mutant(
        "a record always expires",
        "execution/redis_journal.py",
        "is_over = order is None or (told is not None and told.closed)",
        "is_over = True",
    ),
    mutant(
        "a record never expires",
        "execution/redis_journal.py",
        "is_over = order is None or (told is not None and told.closed)",
        "is_over = False",
    ),
    mutant(
        "an order that was published already lets its record live for ever",
        "execution/redis_journal.py",
        "order is None or (told is not None and told.closed)",
        "order is None",
    ),
    mutant(
        "an accepted order is not noted",
        "execution/redis_journal.py",
        "if order is not None and told is None:",
        "if False:",
    ),
    mutant(
        "an order that was published is noted as accepted",
        "execution/redis_journal.py",
        "if order is not None and told is None:",
        "if order is not None:",
    ),
    mutant(
        "a provisional record isn't watched for",
        "execution/redis_journal.py",
        "if record.provisional:",
        "if False:",
    ),
    mutant(
        "any record is corrected",
        "execution/redis_journal.py",
        "if now is not None and now.provisional:",
        "if now is not None:",
    ),
    mutant(
        "a corrected ghost is watched for",
        "execution/redis_journal.py",
        'change.write("ZREM", self._late_orders, record.client_order_id)',
        "pass",
    ),
    mutant("ghosts are watched for ever", "execution/redis_journal.py", 'f"({oldest}"', '"(0"'),
    mutant(
        "a closed record counts as unanswered",
        "execution/redis_journal.py",
        'data is not None and (record := load(data)).state != "closed"',
        "data is not None and (record := load(data))",
    ),
    mutant(
        "an id that is about to be claimed is taken out",
        "execution/redis_journal.py",
        "stale = moment is not None and float(moment) < (int(seconds) - 60) * 1000",
        "stale = True",
    ),
    mutant(
        "an id without a record stays for ever",
        "execution/redis_journal.py",
        "stale = moment is not None and float(moment) < (int(seconds) - 60) * 1000",
        "stale = False",
    ),
    mutant(
        "what was published of another order with that id",
        "execution/redis_journal.py",
        "if told is None or told.client_order_id != client_order_id:",
        "if told is None:",
    ),
    # Trimming.
    mutant(
        "trims what is pending",
        "commands/stream_trimming.py",
        'return pending["min"] or position',
        "return position",
    ),
    mutant(
        "trims all that was read",
        "commands/stream_trimming.py",
        "min(limit, oldest[-1][0], key=moment)",
        "limit",
    ),
    mutant(
        "trims what nobody has read",
        "commands/stream_trimming.py",
        "min(limit, oldest[-1][0], key=moment)",
        "oldest[-1][0]",
    ),
    mutant(
        "ids are compared as text",
        "commands/stream_trimming.py",
        "return int(milliseconds), int(sequence)",
        "return milliseconds, sequence",
    ),
    mutant(
        "trouble ends the trimming",
        "commands/stream_trimming.py",
        'log.warning("trimming_delayed", stream=str(stream), error=str(e))',
        "raise",
    ),
    mutant(
        "what was never sent is kept for a week",
        "execution/redis_journal.py",
        "if record.unsent:",
        "if False:",
    ),
    mutant(
        "every closed record is kept for a day",
        "execution/redis_journal.py",
        "if record.unsent:",
        "if True:",
    ),
)
