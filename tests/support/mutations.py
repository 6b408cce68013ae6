"""Damage to files, as disks, editors and interrupted transfers do it; the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

#: Bytes that mean something in text formats, and byte order marks.
_MEANINGFUL = [
    b"\n",
    b"{",
    b"}",
    b"[",
    b'"',
    b":",
    b",",
    b"0",
    b"-",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
]


def mutate(content: bytes, drawn: random.Random) -> bytes:
    """Return `content` with one mutation, or with a few.

    :param content: a whole file.
    :param drawn: decides which mutations, and where.
    """
    for _ in range(drawn.choice([1, 1, 1, 2, 5])):
        content = drawn.choice(_MUTATIONS)(content, drawn)
    return content


def _flip_bit(content: bytes, drawn: random.Random) -> bytes:
    if not content:
        return content
    damaged = bytearray(content)
    damaged[drawn.randrange(len(damaged))] ^= 1 << drawn.randrange(8)
    return bytes(damaged)


def _replace_byte(content: bytes, drawn: random.Random) -> bytes:
    start, _ = _span(content, drawn)
    return content[:start] + drawn.choice(_MEANINGFUL) + content[start + 1 :]


def _insert(content: bytes, drawn: random.Random) -> bytes:
    start, _ = _span(content, drawn)
    return content[:start] + drawn.choice(_MEANINGFUL) + content[start:]


def _delete(content: bytes, drawn: random.Random) -> bytes:
    start, end = _span(content, drawn)
    return content[:start] + content[end:]


def _repeat(content: bytes, drawn: random.Random) -> bytes:
    start, end = _span(content, drawn)
    return content[:end] + content[start:end] * drawn.choice([1, 3]) + content[end:]


def _move(content: bytes, drawn: random.Random) -> bytes:
    start, end = _span(content, drawn)
    rest = content[:start] + content[end:]
    target = drawn.randrange(len(rest) + 1)
    return rest[:target] + content[start:end] + rest[target:]


def _cut(content: bytes, drawn: random.Random) -> bytes:
    return content[: drawn.randrange(len(content) + 1)]


def _blank_out(content: bytes, drawn: random.Random) -> bytes:
    start, end = _span(content, drawn)
    return content[:start] + drawn.choice([b"\0", b"\xff", b" "]) * (end - start) + content[end:]


def _repeat_line(content: bytes, drawn: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lines.insert(drawn.randrange(len(lines) + 1), drawn.choice(lines or [b""]))
    return b"".join(lines)


def _span(content: bytes, drawn: random.Random) -> tuple[int, int]:
    start = drawn.randrange(len(content) + 1)
    return start, min(len(content), start + drawn.choice([1, 4, 40, 400]))


_MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _flip_bit,
    _flip_bit,
    _replace_byte,
    _insert,
    _delete,
    _repeat,
    _move,
    _cut,
    _blank_out,
    _repeat_line,
]
