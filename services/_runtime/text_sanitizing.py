"""Sanitizes foreign text: invalid UTF-8, control characters, and pasted secrets.

Arguments, the environment and files may hold bytes that are not UTF-8. Python decodes such bytes as
lone surrogates, which can be written neither to Redis nor to JSON.
"""

import re

# What strip() removes, and other invisible characters.
_AROUND = " \t\r\n\v\f\0\u00a0\u200b\u2028\u2029\ufeff"
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_utf8(text: str) -> bool:
    """Whether *text* can be written as UTF-8."""
    return _SURROGATE.search(text) is None


def escape_invalid_bytes(text: str) -> str:
    r"""*text* with each invalid byte escaped: a Latin-1 "é" becomes `\xe9`."""
    return _SURROGATE.sub(_escape, text)


def escape_control_characters(text: str) -> str:
    """*text* with control characters and other unprintable ones escaped."""
    if text.isprintable():  # the usual case; a text may have megabytes
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def strip_pasted_characters(text: str) -> str:
    """A pasted secret without surrounding blanks, line ends, byte order mark and quotes."""
    text = text.strip(_AROUND)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip(_AROUND)
    return text
