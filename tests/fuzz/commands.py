"""Gives a connector crowds of bad commands, and looks at all that came of them."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from common_models.stream_names import CommandStream, DeadLetterStream
from services._runtime.redis_parser import LARGE_REPLY_BYTES, MAX_ENTRY_BYTES, oversize_note
from tests.fuzz.corpus import HUGE, IDS, Case, corpus, drawn, good, messages
from tests.support.eventually import eventually_async
from tests.support.orders.trading import TradingDesk
from tests.support.processes import Service

# Nobody lists it, so that what is drawn and happens to be right never leaves.
NOWHERE = "NOPE/NOPE"
# What docker-compose.yml allows a connector.
MOST_MEMORY = 512 << 20
SERVED_WITHIN = 60.0
LONGEST_TEXT = 1000

Fields = Mapping[bytes, bytes]


def huge_cases() -> list[Case]:
    """10 MB each: one text, one without an end, one that is no text."""
    text = b'{"client_order_id": "huge", "symbol": "' + b"A" * HUGE + b'"}'
    payloads = {"text": text, "brackets": b"[" * HUGE, "bytes": b"\xff" * HUGE}
    return [
        Case(f"10 MB of {name}", data, "bytes; expected at most", answerable=False)
        for name, data in payloads.items()
    ]


# Entries of another form than `data` and JSON in it.
ODD_ENTRIES: Sequence[Fields] = (
    {b"value": b'{"symbol": "BTC/USDT"}'},
    {b"Data": b'{"symbol": "BTC/USDT"}'},
    {b"": b""},
    {b"\xff\xfe": b"\x00"},
    {b"data": b"", b"more": b"x" * 1000},
)


async def send(desk: TradingDesk, command: str, entries: Sequence[Fields]) -> list[str]:
    """Put entries into a command's stream; their ids."""
    stream = str(CommandStream(desk.name, command))
    async with desk.redis.pipeline(transaction=False) as pipe:
        for fields in entries:
            pipe.xadd(stream, dict(fields))  # type: ignore[arg-type]
        return [entry_id.decode() for entry_id in await pipe.execute()]


async def until_served(desk: TradingDesk, service: Service) -> None:
    """Wait until every command is read and acknowledged; the process lives meanwhile."""
    redis: Any = desk.redis

    async def served() -> bool:
        assert not service.exited, service.log.read_text()[-3000:]
        for command in IDS:
            stream = str(CommandStream(desk.name, command))
            (group,) = await redis.xinfo_groups(stream)
            state = await redis.xinfo_stream(stream)
            if group["pending"] or group["last-delivered-id"] != state["last-generated-id"]:
                return False
        return True

    await eventually_async(served, within=SERVED_WITHIN)


async def letters(desk: TradingDesk, command: str) -> dict[str, dict[str, str]]:
    """The dead letters of a command by the entries that they are of; each has one."""
    entries: Any = await desk.redis.xrange(str(DeadLetterStream(desk.name, command)))
    found = [json.loads(fields[b"data"]) for _, fields in entries]
    by_entry = {letter["entry_id"]: letter for letter in found}
    assert len(by_entry) == len(found), f"{command}: an entry has more than one dead letter"
    return by_entry


async def give_corpus(desk: TradingDesk, service: Service) -> int:
    """The whole corpus to every command stream: each gets its dead letter, and its answer.

    Returns how many commands went to `place_order`.
    """
    huge = {command: huge_cases()[: 3 if command == "place_order" else 1] for command in IDS}
    cases = {command: [*corpus(command, desk.market.symbol), *huge[command]] for command in IDS}
    answered_before = await _answers(desk)
    sent = {}
    for command, own in cases.items():
        entries = [{b"data": case.data} for case in own] + list(ODD_ENTRIES)
        sent[command] = await send(desk, command, entries)
    await until_served(desk, service)
    answers = await _answers(desk)
    for command, own in cases.items():
        found = await letters(desk, command)
        for entry_id, case in zip(sent[command], own, strict=False):
            assert entry_id in found, f"{command}, {case.name}: no dead letter"
            _check_letter(command, case, found[entry_id])
        assert set(sent[command]) <= found.keys()
        wanted = sum(case.answerable for case in own)
        assert answers[command] - answered_before[command] == wanted
    return len(sent["place_order"])


def _check_letter(command: str, case: Case, letter: Mapping[str, str]) -> None:
    where = f"{command}, {case.name}: {letter['error']}"
    assert case.says in letter["error"], where
    assert letter["error"].isprintable(), where
    assert len(letter["error"]) <= LONGEST_TEXT, where
    note = oversize_note(len("data") + len(case.data)).decode()
    if len(case.data) > LARGE_REPLY_BYTES or (
        len(case.data) > MAX_ENTRY_BYTES and letter["content"] == note
    ):
        # Thrown away as it came: the smaller ones only where they came together with others.
        assert letter["content"] == note, where
    elif letter["encoding"] == "base64":
        assert letter["content"] == b64encode(case.data).decode(), where
    else:
        assert letter["content"] == case.data.decode(), where


async def _answers(desk: TradingDesk) -> Counter[str]:
    """How many commands of each kind were answered as unreadable."""
    found: Counter[str] = Counter()
    responses = await desk.events("order_response")
    found["place_order"] = sum(each.reason_code == "invalid_command" for each in responses)
    for each in await desk.events("command_response"):
        found[each.command] += each.reason_code == "invalid_command"
    return found


async def give_drawn(desk: TradingDesk, service: Service, count: int, start: int) -> None:
    """*count* drawn messages to every command stream: each is answered once, or a dead letter."""
    sent = {}
    before = Counter(each.command for each in await desk.events("command_response"))
    for number, command in enumerate(IDS):
        own_id = f"{command}-{start}-{uuid4().hex[:8]}"
        strategy = messages(good(command, NOWHERE, own_id))
        found = drawn(strategy, count, start * len(IDS) + number)
        sent[command] = dict(
            zip(await send(desk, command, [{b"data": data} for data in found]), found, strict=True)
        )
    await until_served(desk, service)
    await _check_placed(desk, sent["place_order"])
    after = Counter(each.command for each in await desk.events("command_response"))
    for command in IDS.keys() - {"place_order"}:
        dead = len(sent[command].keys() & await letters(desk, command))
        answered = after[command] - before[command]
        assert len(sent[command]) - dead <= answered <= len(sent[command]), command


async def _check_placed(desk: TradingDesk, sent: Mapping[str, bytes]) -> None:
    dead = await letters(desk, "place_order")
    answers = Counter(each.command_id for each in await desk.events("order_response"))
    for each in await desk.events("order_response"):
        if each.command_id in sent:
            assert each.status == "rejected", (sent[each.command_id], each)
            assert len(each.error_message or "") <= LONGEST_TEXT
    for entry_id, data in sent.items():
        assert answers[entry_id] <= 1, data
        assert answers[entry_id] or entry_id in dead, data


async def still_fine(desk: TradingDesk, service: Service) -> None:
    """Nothing was ordered, good commands are served at once, and no memory was taken for long."""
    assert (await desk.ledger())["orders"] == []
    client_order_id = await desk.order(price=await desk.far_below())
    assert (await desk.response(client_order_id)).status == "accepted"
    done = await desk.request(
        "cancel_order", symbol=desk.market.symbol, client_order_id=client_order_id
    )
    assert done.status == "done"
    for command in ("cancel_all_orders", "query_order", "request_balance"):
        fields = good(command, desk.market.symbol, uuid4().hex)
        if command == "request_balance":
            fields["exchange"] = desk.market.venue.exchange
        await desk.send(command, fields)
        answer = await desk.answer(fields[IDS[command]])
        assert answer.status == ("rejected" if command == "query_order" else "done"), answer
    (order,) = (await desk.ledger())["orders"]
    assert order["client_order_id"] == client_order_id
    assert peak_memory(service) < MOST_MEMORY
    assert "Traceback" not in service.log.read_text()


def peak_memory(service: Service) -> int:
    """The most memory that the process ever had, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
