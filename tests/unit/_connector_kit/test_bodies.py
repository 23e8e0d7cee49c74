"""Bodies: what fits comes out as it went in, what doesn't is refused before it takes memory."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services._connector_kit.bodies import MOST_CONTAINERS, STEP, Body, BodyError


def read(
    body: bytes, encoding: str | None = None, *, size: int = 1 << 16, most: int = 1000
) -> bytes:
    """*body* in pieces of *size*."""
    found = Body(encoding, most=most)
    for start in range(0, len(body), size):
        found.add(body[start : start + size])
    return found.whole()


@given(st.binary(max_size=1000), st.integers(1, 400), st.sampled_from([None, "", "identity"]))
def test_a_plain_body_comes_as_it_is(body: bytes, size: int, encoding: str | None) -> None:
    """In whatever pieces."""
    assert read(body, encoding, size=size) == body


@given(st.binary(max_size=1000), st.integers(1, 400), st.sampled_from(["gzip", " GZIP"]))
def test_a_packed_body_is_unpacked(body: bytes, size: int, encoding: str) -> None:
    """In whatever pieces."""
    assert read(gzip.compress(body), encoding, size=size) == body


@given(st.integers(900, 1100), st.integers(1, 400), st.booleans())
def test_the_limit_is_on_the_unpacked_size(length: int, size: int, packed: bool) -> None:
    """To the byte."""
    body = b"x" * length
    sent, encoding = (gzip.compress(body), "gzip") if packed else (body, None)
    if length <= 1000:
        assert read(sent, encoding, size=size) == body
    else:
        with pytest.raises(BodyError, match="more than 1000 bytes"):
            read(sent, encoding, size=size)


def test_a_packed_body_larger_than_a_step_is_whole() -> None:
    """It is unpacked in several steps."""
    body = bytes(range(256)) * (STEP // 64)
    assert read(gzip.compress(body), "gzip", most=len(body)) == body


def test_no_body_is_empty_even_where_it_is_said_to_be_packed() -> None:
    """Answers to DELETE may be."""
    assert read(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("body", "encoding", "fault"),
    [
        (b"no gzip", "gzip", "no gzip"),
        (zlib.compress(b"x"), "gzip", "no gzip"),
        (gzip.compress(b"x" * 100)[:-1], "gzip", "cut off"),
        (gzip.compress(b"")[:15], "gzip", "cut off"),
        (gzip.compress(b"x") + gzip.compress(b"y"), "gzip", "something follows"),
        (gzip.compress(b"x") + b"y", "gzip", "something follows"),
        (b"x", "br", "'br'; expected gzip"),
        (b"x", "gzip, gzip", "expected gzip"),
    ],
    ids=["text", "zlib", "cut", "cut empty", "twice", "followed", "brotli", "packed twice"],
)
def test_what_isnt_what_was_asked_for_is_refused(body: bytes, encoding: str, fault: str) -> None:
    """Nothing of it is used."""
    with pytest.raises(BodyError, match=fault):
        read(body, encoding)


def test_a_body_of_too_many_lists_and_objects_is_refused() -> None:
    """Each takes twenty times its bytes once decoded."""
    half = MOST_CONTAINERS // 2
    most = 10 * MOST_CONTAINERS
    fits = b"[" * half + b"{" * half
    assert read(fits, most=most) == fits
    with pytest.raises(BodyError, match="lists and objects"):
        read(fits + b"{", most=most)


def test_a_bomb_takes_no_more_than_the_limit() -> None:
    """200 MB in 200 kB; the limit is a megabyte."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(BodyError):
            read(bomb, "gzip", size=len(bomb), most=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
