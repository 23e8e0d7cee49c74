"""Bad commands: a corpus by hand, with what each refusal must say, and what Hypothesis draws."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")

# Every command stream, and which field is the id that an answer names.
IDS = {
    "place_order": "client_order_id",
    "cancel_order": "client_request_id",
    "cancel_all_orders": "client_request_id",
    "query_order": "client_request_id",
    "request_balance": "client_request_id",
}
# No sensible message is near it; Redis takes it.
HUGE = 10_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """One payload of the field `data`; the refusal says `says`.

    `answerable`: the id can be read, so that there is an answer beside the dead letter.
    """

    name: str
    data: bytes
    says: str
    answerable: bool = True


def good(command: str, symbol: str, own_id: str) -> dict[str, Any]:
    """A command that nothing is wrong with."""
    fields: dict[str, dict[str, Any]] = {
        "place_order": {"type": "limit", "side": "buy", "quantity": 0.002, "price": 50000.0},
        "cancel_order": {"client_order_id": "nobody-knows-it"},
        "query_order": {"client_order_id": "nobody-knows-it"},
        "cancel_all_orders": {},
        "request_balance": {"assets": ["USDT"]},
    }
    market = {"exchange": symbol} if command == "request_balance" else {"symbol": symbol}
    return {IDS[command]: own_id, **market, **fields[command]}


def corpus(command: str, symbol: str) -> list[Case]:
    """Commands that nobody can read, each of them by one fault, for one stream."""
    cases = [*_no_object(), *_whole(command, symbol), *_one_field(command, symbol)]
    if command == "place_order":
        cases += _numbers(symbol)
    return cases


def _no_object() -> list[Case]:
    broken = {
        "empty": b"",
        "blank": b" \t\r\n",
        "broken UTF-8": b'{"symbol": "\xff\xfe"}',
        "UTF-16": '{"symbol": "BTC/USDT"}'.encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf{}",
        "an overlong slash": b'{"symbol": "BTC\xc0\xafUSDT"}',
        "half a surrogate in bytes": b'{"symbol": "\xed\xa0\x80"}',
        "a NUL byte": b'{"symbol": "BTC\x00USDT"}',
        "only NUL bytes": b"\x00" * 100,
        "cut short": b'{"client_order_id": "a", "symbol": "BTC',
        "two objects": b"{}{}",
        "a comment": b"{/* nothing */}",
        "a comma at the end": b'{"symbol": "BTC/USDT",}',
        "single quotes": b"{'symbol': 'BTC/USDT'}",
        "another format": b"\x82\xa6symbol\xa8BTC/USDT\xa1a\x01",
        "brackets": b"[" * 30_000 + b"]" * 30_000,
        "open brackets": b"[" * 60_000,
        "objects in objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    }
    other = {
        "a list": b'[{"symbol": "BTC/USDT"}]',
        "a text": b'"\\u001b[2J\\u0007 pay me"',
        "a number": b"1",
        "null": b"null",
        "NaN alone": b"NaN",
    }
    long = {"brackets, a lot": b"[" * 100_000 + b"]" * 100_000, "a megabyte": b"x" * 1_000_000}
    return [
        *(Case(name, data, "invalid JSON: ", answerable=False) for name, data in broken.items()),
        *(Case(name, data, "not a JSON object", answerable=False) for name, data in other.items()),
        *(
            Case(name, data, "bytes; expected at most", answerable=False)
            for name, data in long.items()
        ),
    ]


def _whole(command: str, symbol: str) -> list[Case]:
    fields = good(command, symbol, f"whole-{command}")
    own_id, as_text = IDS[command], json.dumps(fields)
    twice = f'{as_text[:-1]}, "{own_id}": "b"}}'
    long = {**fields, own_id: "a" * 1_000_000}
    cases = [
        Case("the id twice", twice.encode(), f"'{own_id}' is repeated", answerable=False),
        Case("a megabyte of id", json.dumps(long).encode(), "expected at most", answerable=False),
        Case("wrong case", as_text.upper().encode(), "unknown field"),
        Case("a field more", with_field(fields, "stop_price", "1"), "stop_price"),
        Case("a long field more", with_field(fields, "x" * 20_000, "1"), "xxxx"),
        Case("an escape for a name", with_field(fields, "\x1b[31m", "1"), "x1b[31m"),
        Case("half a character for a name", with_field(fields, "\ud800", "1"), "ud800"),
        Case("a hundred fields more", _hundred(fields), "and 95 more"),
        Case("the id is a number", with_field(fields, own_id, "12"), own_id, answerable=False),
        Case("the id is null", with_field(fields, own_id, "null"), own_id, answerable=False),
        Case("the id is a list", with_field(fields, own_id, '["a"]'), own_id, answerable=False),
    ]
    return [*cases, Case("half a character", with_field(fields, own_id, '"\\ud800"'), own_id)]


def _hundred(fields: dict[str, Any]) -> bytes:
    return json.dumps({**fields, **{f"field_{number}": number for number in range(100)}}).encode()


def _one_field(command: str, symbol: str) -> list[Case]:
    """Every field but the id, with values of the wrong kind."""
    cases = []
    fields = good(command, symbol, f"field-{command}")
    wrong = {
        "a list": "[[1], 2]",
        "an object": '{"a": {"b": {"c": {"d": 1}}}}',
        "true": "true",
        "half a character": '"BTC\\udfff"',
        "nested": "[" * 500 + "]" * 500,
    }
    for name in fields.keys() - {IDS[command]}:
        kinds = wrong | ({"a text": '"1"'} if name in ("quantity", "price") else {"1": "1"})
        if name == "assets":
            kinds = {kind: raw for kind, raw in kinds.items() if kind not in ("a list", "nested")}
            kinds |= {"a list of numbers": "[1]", "nested": "[" * 500 + "]" * 500}
        cases += [Case(f"{name}: {k}", with_field(fields, name, r), name) for k, r in kinds.items()]
    optional = {"cancel_all_orders": {"symbol"}, "request_balance": {"exchange", "assets"}}
    for name in fields.keys() - {IDS[command], "price"} - optional.get(command, set()):
        without = {key: value for key, value in fields.items() if key != name}
        data = json.dumps(without).encode()
        says = "client_order_id" if name == "client_order_id" else name
        cases.append(Case(f"no {name}", data, says))
    return cases


def _numbers(symbol: str) -> list[Case]:
    fields = good("place_order", symbol, "numbers")
    never = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0", "-0.0", "-1", "1e-400"]
    never += ["9" * 5000, "null", '"NaN"', '"0x10"', '"\uff11\uff12"', "false"]
    spelled = ["\uff11\uff12\uff13", "1_000", "01", "+1", "0x10", "1.", ".5", "1,5", "\u0661"]
    cases = [
        Case(f"quantity {raw[:20]}", with_field(fields, "quantity", raw), "quantity=")
        for raw in never
    ]
    cases += [
        Case(
            f"price spelled {raw}",
            with_field(fields, "price", raw),
            "invalid JSON: ",
            answerable=False,
        )
        for raw in spelled
    ]
    for name in ("type", "side"):
        for value in ("", "BUY", "Limit", "stop", "buy ", "\u212auy", "b\u200buy", "\x1b[1mbuy"):
            raw = json.dumps(value)
            cases.append(Case(f"{name} {raw}", with_field(fields, name, raw), f"{name}="))
    return cases


def with_field(fields: Mapping[str, Any], name: str, raw: str) -> bytes:
    """The object as JSON, where the value of *name* is the text *raw*, whatever that is."""
    marked = json.dumps({**fields, name: "HERE"})
    return marked.replace('"HERE"', raw).encode("utf-8", "surrogatepass")


nasty_text = st.one_of(
    st.text(st.characters(blacklist_categories=()), max_size=40),
    st.sampled_from(["\x1b]0;own\x07", "\x1b[2J", "\x00", "\ud800", "\u202eevil", "\r\nX: y"]),
    st.sampled_from(["*", "a b", "../../x", "'; DROP", "{{7*7}}", "%s%n", "x" * 5000]),
    st.sampled_from(["\uff11", "NaN", "1e400", "", " "]),
)
json_value = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from([10**30, -(10**400), 2**63, 5e-324, 1.7e308, 0.1 + 0.2])
    | nasty_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(nasty_text, inner, max_size=4),
    max_leaves=12,
)
# What is put into JSON text as it is.
raw_bits = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"NaN", b"Infinity", b"1e400", b"9" * 400, b"-", b"e", b"null"]),
    st.sampled_from([b'"', b"{", b"}", b"[" * 50, b"\\", b"\\ud800", b",", b":"]),
    st.sampled_from([b"\x00", b"\xff", "\uff11".encode(), b"\xef\xbb\xbf"]),
)


@st.composite
def _cut_and_pasted(draw: st.DrawFn, text: bytes) -> bytes:
    """*text* with some of it replaced, by up to three cuts."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 10)))
        text = text[:start] + draw(raw_bits) + text[end:]
    return text


def messages(fields: Mapping[str, Any]) -> st.SearchStrategy[bytes]:
    """What is like the message *fields*, and mostly isn't one."""
    names = st.sampled_from(sorted(fields)) | nasty_text
    changed = st.dictionaries(names, json_value, min_size=1, max_size=3).map(
        lambda changes: json.dumps({**fields, **changes}).encode()
    )
    cut = _cut_and_pasted(json.dumps(dict(fields)).encode())
    return st.one_of(changed, cut, st.binary(max_size=200), json_value.map(_dumped))


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def drawn(strategy: st.SearchStrategy[T], count: int, start: int) -> list[T]:
    """*count* examples, always the same for the same *start*: for what takes many at once."""
    found: list[T] = []

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: T) -> None:
        found.append(example)

    collect()
    return found
