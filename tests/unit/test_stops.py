from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core.toolkit.stop_strings import StopMatcher

# Few characters, one of two bytes and one of four, so that stops appear, overlap and are split.
alphabet = "ab\né😀"
stops = st.lists(st.text(alphabet, min_size=1, max_size=4), max_size=4, unique=True)
texts = st.text(alphabet, max_size=30)
cuts = st.lists(st.integers(1, 5), min_size=1, max_size=10)


def pieces_of(raw: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at, turn = [], 0, 0
    while at < len(raw):
        size = sizes[turn % len(sizes)]
        pieces.append(raw[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def one_byte_at_a_time(raw: bytes, given_stops: list[str]) -> tuple[bytes, str | None]:
    """The twin: after every single byte, does the text end in a stop? The longest one counts."""
    text = b""
    for value in raw:
        text += bytes([value])
        ending = [stop for stop in given_stops if text.endswith(stop.encode())]
        if ending:
            longest = max(ending, key=lambda stop: len(stop.encode()))
            return text[: -len(longest.encode())], longest
    return text, None


def feed_all(matcher: StopMatcher, pieces: list[bytes]) -> str:
    shown = ""
    for piece in pieces:
        if matcher.feed(piece):
            break
        shown += matcher.releasable_text()
        assert matcher.text().startswith(shown)
    return shown


@given(texts, stops, cuts)
def test_the_first_complete_stop_wins_wherever_tokens_begin_and_end(
    text: str, given_stops: list[str], sizes: list[int]
) -> None:
    matcher = StopMatcher(given_stops)
    feed_all(matcher, pieces_of(text.encode(), sizes))
    assert (bytes(matcher.raw), matcher.stop) == one_byte_at_a_time(text.encode(), given_stops)


@given(texts, stops, cuts)
def test_what_is_shown_never_becomes_part_of_a_stop_and_adds_up_to_the_text(
    text: str, given_stops: list[str], sizes: list[int]
) -> None:
    matcher = StopMatcher(given_stops)
    shown = feed_all(matcher, pieces_of(text.encode(), sizes))
    final = one_byte_at_a_time(text.encode(), given_stops)[0].decode(errors="replace")
    assert final.startswith(shown)
    assert shown + matcher.releasable_text(final=True) == matcher.text() == final


@given(st.binary(max_size=30), stops, cuts)
def test_bytes_that_are_no_utf8_add_up_to_the_text_as_well(
    raw: bytes, given_stops: list[str], sizes: list[int]
) -> None:
    matcher = StopMatcher(given_stops)
    shown = feed_all(matcher, pieces_of(raw, sizes))
    assert shown + matcher.releasable_text(final=True) == matcher.text()


def test_a_stop_inside_a_token_is_found_and_what_follows_it_is_dropped() -> None:
    matcher = StopMatcher(["\n"])
    assert matcher.feed(b"Paris.\nNext")
    assert (matcher.text(), matcher.stop) == ("Paris.", "\n")


def test_half_a_character_is_not_shown_before_the_rest_of_it_arrives() -> None:
    matcher = StopMatcher([])
    matcher.feed(b"\xf0\x9f")
    assert matcher.releasable_text() == ""
    matcher.feed(b"\x98\x80!")
    assert matcher.releasable_text() == "😀!"


def test_without_stops_everything_is_showable_at_once() -> None:
    matcher = StopMatcher([])
    assert not matcher.feed(b"anything")
    assert matcher.releasable_text() == "anything"


@pytest.mark.parametrize("order", [["b", "ab"], ["ab", "b"]])
def test_of_two_stops_that_end_together_the_longest_is_named(order: list[str]) -> None:
    matcher = StopMatcher(order)
    assert matcher.feed(b"xab")
    assert (matcher.stop, matcher.text()) == ("ab", "x")
