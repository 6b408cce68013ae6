"""Text to ids and back by the routes of a server, which is not asked twice."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise

from autocog_core import EngineError
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import malformed
from autocog_openai.connection.scorer import token_id
from autocog_openai.connection.server_capabilities import Facts

#: What special tokens look like.
_MARK = re.compile(r"<[^<>\s]{1,80}>|\[[A-Z_/]{1,40}\]")

#: Texts whose ids are remembered: choices come again and again.
KEPT = 50_000
#: Longer ones are not remembered: prompts do not come again.
LONGEST = 512


class RouteTokenizer:
    """The server's own routes; what was asked before is remembered."""

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection = connection
        self._facts = facts
        self._known: dict[tuple[str, bool], tuple[int, ...]] = {}
        self._surfaces: dict[int, bytes] = {}
        self._shown: dict[tuple[int, ...], str] = {}
        #: Of each token in a text that is not all ASCII: the ids of the shortest such text.
        self._seen: dict[int, tuple[int, ...]] = {}
        self._lock = threading.Lock()
        ask, look = _ROUTES[facts.tokenize]
        self._ask, self._look = ask, look
        self._special = {token for _, token in facts.special}

    @property
    def size(self) -> int | None:
        """V, where it is known."""
        return self._facts.vocabulary_size

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of one text."""
        key = (text, parse_special)
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = self._asked(text, parse_special)
            if not parse_special and self._facts.tokenize != "llama-server":
                found = self._without_special(text, found)
            with self._lock:
                if len(self._known) >= KEPT:
                    self._known.clear()
                    self._seen.clear()
                if len(text) <= LONGEST:
                    self._known[key] = found
                # Of a text with U+FFFD in it nobody knows which of them is its own.
                telling = not text.isascii() and "\ufffd" not in text and len(text) <= LONGEST
                for token in found if telling else ():
                    if len(self._seen.get(token, found)) >= len(found):
                        self._seen[token] = found
        return list(found)

    def surface(self, token: int) -> bytes:
        """The bytes of one token; special ones have none."""
        if self._facts.surfaces is not None:
            return self._facts.surfaces[token].encode("latin-1")
        found = self._surfaces.get(token)
        if found is None:
            text = "" if token in self._special else self._text((token,))
            found = text.encode("utf-8")
            part = self._part(token) if "\ufffd" in text else None
            if part is not None or "\ufffd" not in text:
                self._surfaces[token] = found = part or found
        return found

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of several tokens."""
        if self._facts.surfaces is not None or len(tokens) < 2:
            return b"".join(map(self.surface, tokens))
        # All together: one token may be a part of a character, which has no text of its own.
        ordinary = tuple(token for token in tokens if token not in self._special)
        return self._text(ordinary).encode("utf-8")

    def _asked(self, text: str, parse_special: bool) -> tuple[int, ...]:
        try:
            ids = self._ask(self._connection, self._facts.model, text, parse_special)
            return tuple(map(token_id, ids))
        except (KeyError, TypeError, ValueError) as error:
            raise malformed(self._connection.where, error) from error

    def _text(self, tokens: tuple[int, ...]) -> str:
        found = self._shown.get(tokens)
        if found is None:
            try:
                found = self._look(self._connection, self._facts.model, tokens)
            except (KeyError, TypeError) as error:
                raise malformed(self._connection.where, error) from error
            except EngineError as error:
                if not error.message.startswith("500") and "decode" not in error.message:
                    raise
                # Bytes that are no text break some servers: U+FFFD stands for them elsewhere.
                found = "\ufffd"
            if len(self._shown) >= KEPT:
                self._shown.clear()
            if len(tokens) <= LONGEST:
                self._shown[tokens] = found
        return found

    def _part(self, token: int) -> bytes | None:
        """The byte of a token that is one of a character's, from a text that holds it.

        None where no such text was seen, or where more than one byte may be its.
        """
        group: tuple[int, ...] = ()
        for each in self._seen.get(token, ()):
            group = (*group, each)
            text = self._text(group)
            if "\ufffd" in text:
                continue
            raw = text.encode("utf-8")
            if token in group and len(raw) == len(group):
                place = group.index(token)
                return raw[place : place + 1]
            group = ()
        return None

    def _without_special(self, text: str, found: tuple[int, ...]) -> tuple[int, ...]:
        """Ids of a text that nobody vouches for: these routes parse special tokens in any text.

        What they made a special token of is tokenized in two parts, so that they cannot.
        """
        marks = list(_MARK.finditer(text))
        if not marks or not any(self._is_mark(token) for token in found):
            return found
        cuts = [0, *(mark.start() + 1 for mark in marks), len(text)]
        parts = [text[start:end] for start, end in pairwise(cuts) if start < end]
        return tuple(token for part in parts for token in self._asked(part, False))

    def _is_mark(self, token: int) -> bool:
        text = self._text((token,))
        return not text or _MARK.fullmatch(text) is not None


def _llama_server_ids(
    connection: Connection, model: str, text: str, parse_special: bool
) -> Sequence[int]:
    body = {"content": text, "add_special": False, "parse_special": parse_special}
    return list(map(int, connection.post("/tokenize", body)["tokens"]))


def _llama_server_text(connection: Connection, model: str, tokens: Sequence[int]) -> str:
    return str(connection.post("/detokenize", {"tokens": list(tokens)})["content"])


def _vllm_ids(connection: Connection, model: str, text: str, parse_special: bool) -> Sequence[int]:
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    return list(map(int, connection.post("/tokenize", body)["tokens"]))


def _vllm_text(connection: Connection, model: str, tokens: Sequence[int]) -> str:
    found = connection.post("/detokenize", {"model": model, "tokens": list(tokens)})
    return str(found["prompt"] if "prompt" in found else found["text"])


def _llama_cpp_python_ids(
    connection: Connection, model: str, text: str, parse_special: bool
) -> Sequence[int]:
    if not text:
        return []
    ids = list(map(int, connection.post("/extras/tokenize", {"input": text})["tokens"]))
    nothing = list(map(int, connection.post("/extras/tokenize", {"input": ""})["tokens"]))
    # It puts BOS before every text, where the model has one.
    return ids[len(nothing) :] if ids[: len(nothing)] == nothing else ids


def _llama_cpp_python_text(connection: Connection, model: str, tokens: Sequence[int]) -> str:
    return str(connection.post("/extras/detokenize", {"tokens": list(tokens)})["text"])


Ask = Callable[[Connection, str, str, bool], Sequence[int]]
Look = Callable[[Connection, str, Sequence[int]], str]

_ROUTES: dict[str, tuple[Ask, Look]] = {
    "llama-server": (_llama_server_ids, _llama_server_text),
    "vllm": (_vllm_ids, _vllm_text),
    "sglang": (_vllm_ids, _vllm_text),
    "llama-cpp-python": (_llama_cpp_python_ids, _llama_cpp_python_text),
}
