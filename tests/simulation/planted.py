"""The product's order core with one bug planted in each variant: the worlds must find every one."""

import asyncio

from msgspec.structs import replace

from common_models import PlaceOrderCommand
from services._connector_kit.errors import TransientError
from services._connector_kit.orders.commands.data_loss import DataLossDetector
from services._connector_kit.orders.commands.place_order_consumer import PlaceOrderConsumer, Work
from services._connector_kit.orders.commands.redis_command_queue import RedisCommandQueue
from services._connector_kit.orders.execution.evidence import ExecutorTimings
from services._connector_kit.orders.execution.order_executor import OrderExecutor
from services._connector_kit.orders.execution.record import Record, dump, load
from services._connector_kit.orders.keys import order_key, unanswered_key
from services._connector_kit.orders.ports import (
    Claim,
    CommandEntry,
    CommandQueue,
    DataLossRecord,
    OutcomeUnknown,
    Rejection,
    VenueAcceptance,
    VenueOrder,
)
from tests.simulation.connector import Core


class AckFirst(OrderExecutor):
    """Acknowledges the command before it is carried out."""

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """Acknowledge, then carry out."""
        await self._answer(entry, None)
        await super().execute(record, entry, refusal, query_first=query_first)


class _Sending(OrderExecutor):
    """Sends with its own idea of what to do when there is no answer."""

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """As the product does, but for `_no_answer`."""
        refusal = refusal or await self.checks.check(record)
        if not record.sendable or query_first or refusal is not None:
            await super().execute(record, entry, refusal, query_first=query_first)
            return
        match await self.venue.place(record):
            case VenueAcceptance(order):
                await self._accept(record, entry, order)
            case Rejection() as refusal:
                await self._reject(record, entry, refusal)
            case OutcomeUnknown():
                await self._no_answer(record, entry)

    async def _no_answer(self, record: Record, entry: CommandEntry) -> None:
        await self.resolve(record, entry)

    async def _send_again(self, record: Record, entry: CommandEntry) -> None:
        again = replace(record, timestamp=self.venue.milliseconds())
        match await self.venue.place(again):
            case VenueAcceptance(order):
                await self._accept(record, entry, order)
            case _:
                await self.resolve(again, entry)


class NewIdOnRetry(_Sending):
    """Without an answer, sends again under another id."""

    async def _no_answer(self, record: Record, entry: CommandEntry) -> None:
        await self._send_again(
            replace(record, client_order_id=f"{record.client_order_id}-2"), entry
        )


class ResendOnTimeout(_Sending):
    """Without an answer, sends the same again."""

    async def _no_answer(self, record: Record, entry: CommandEntry) -> None:
        await self._send_again(record, entry)


class QueryThenResend(_Sending):
    """Without an answer, asks once and sends again where the venue knows nothing."""

    async def _no_answer(self, record: Record, entry: CommandEntry) -> None:
        try:
            found: VenueOrder | None = await self.venue.find(record)
        except TransientError:
            found = None
        if found is not None:
            await self._accept(record, entry, found)
        else:
            await self._send_again(record, entry)


class RejectedOnTimeout(_Sending):
    """Without an answer, says that there is no order."""

    async def _no_answer(self, record: Record, entry: CommandEntry) -> None:
        await self._reject(record, entry, Rejection("timeout", "the exchange didn't answer"))


class FreshTimestamp(OrderExecutor):
    """Signs with the time at which it sends, not with the journaled one."""

    async def execute(
        self, record: Record, entry: CommandEntry, refusal: Rejection | None, *, query_first: bool
    ) -> None:
        """Look at the clock only once everything else is done."""
        if record.sendable and not query_first and refusal is None:
            refusal = await self.checks.check(record)
            record = replace(record, timestamp=self.venue.milliseconds())
        await super().execute(record, entry, refusal, query_first=query_first)


class NoWaitForTheWindow(OrderExecutor):
    """Believes the first "not found"."""

    async def resolve(self, record: Record, entry: CommandEntry) -> Record:
        """Ask at once, and once."""
        self.timings = ExecutorTimings(misses=1, missed_for=0.0)
        return await super().resolve(record, entry)

    def _deadline(self, record: Record) -> float:
        return 0.0


class NoCompareAndSet(RedisCommandQueue):
    """Looks whether an id is taken, then takes it: two commands, not one."""

    async def claim(self, record: Record) -> Claim:
        """GET, then SET."""
        key = order_key(self._connector, record.client_order_id)
        found = await self._call(self._redis.get, key)
        if found is None:
            await self._call(self._redis.set, key, dump(record))
        server = await self.server()
        return Claim(None if found is None else load(found), server.milliseconds)


class ClaimInSteps(RedisCommandQueue):
    """Names a record in the book of record, then writes it: Redis may be emptied in between."""

    async def claim(self, record: Record) -> Claim:
        """The same commands in one write, but no transaction."""
        moment = record.entry_id.partition("-")[0]
        _, found, saved, (seconds, micro) = await self._call(
            self._ask_all,
            ("ZADD", unanswered_key(self._connector), "NX", moment, record.client_order_id),
            ("SET", order_key(self._connector, record.client_order_id), dump(record), "NX", "GET"),
            ("GET", self._data_loss_key),
            ("TIME",),
        )
        if saved != self._saved_data_loss:
            raise self._connection_failed(ConnectionError("not what was saved"))
        milliseconds = int(seconds) * 1000 + int(micro) // 1000
        return Claim(None if found is None else load(found), milliseconds)


class _TrustingDetector(DataLossDetector):
    async def check(self, queue: CommandQueue) -> bool:
        await queue.prepare()
        server = await queue.server()
        await queue.save_data_loss(
            DataLossRecord(server.identity, data_lost_at=-1, recovery_until=-1)
        )
        return False


class BlindTrust(PlaceOrderConsumer):
    """Never thinks that Redis may have forgotten."""

    _data_loss: DataLossDetector

    async def run(self) -> None:
        """Serve, trusting."""
        self._data_loss = _TrustingDetector(0)
        await super().run()


class DecidingWithoutOwning(PlaceOrderConsumer):
    """Resolves what it must not send without taking its id first."""

    async def _claim(
        self, entry: CommandEntry, command: PlaceOrderCommand, *, was_held: bool
    ) -> Work:
        if not entry.redelivered and not self._data_loss.predates_data_loss(entry.milliseconds):
            return await super()._claim(entry, command, was_held=was_held)
        now = self._venue.milliseconds()
        record = Record(
            client_order_id=command.client_order_id,
            entry_id=entry.entry_id,
            command=command.model_dump_json(),
            timestamp=now,
            validity=0,
            sendable=False,
        )
        return self._executor.execute(record, entry, None, query_first=False)


class NoBookOfRecord(PlaceOrderConsumer):
    """Takes up only what lies in the command stream."""

    async def _recover_unanswered(self, tasks: asyncio.TaskGroup) -> None:
        """Walk over nothing."""


PLANTED = {
    "ack first, without a book of record": Core(executor=AckFirst, desk=NoBookOfRecord),
    "no book of record": Core(desk=NoBookOfRecord),
    "new id on retry": Core(executor=NewIdOnRetry),
    "resend on timeout": Core(executor=ResendOnTimeout),
    "query then resend": Core(executor=QueryThenResend),
    "no compare-and-set": Core(queue=NoCompareAndSet),
    "a claim in several steps": Core(queue=ClaimInSteps),
    "no wait for the validity window": Core(executor=NoWaitForTheWindow),
    "blind trust after Redis forgot": Core(desk=BlindTrust),
    "fresh timestamp at send": Core(executor=FreshTimestamp),
    "deciding without owning": Core(desk=DecidingWithoutOwning),
    "rejected on timeout": Core(executor=RejectedOnTimeout),
}
