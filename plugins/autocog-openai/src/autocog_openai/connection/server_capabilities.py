"""What a server was found to offer: asked for once, and kept in the cache folder."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from autocog_core import SpecialToken
from autocog_core.toolkit import cache_folder, write_atomically

#: Of the file: older ones are found out anew.
FORMAT = 1

#: What was found out while some requests failed inside the server is believed so long.
DOUBTED_SECONDS = 3600.0

Echo = Literal["none", "wrong", "right"]


class Facts(BaseModel):
    """What one model on one server offers, as far as one-token requests tell.

    :ivar identity: what the server says of the model; when it changes, all is found out anew.
    :ivar vocabulary_size: V; None where the server does not tell.
    :ivar surfaces: the bytes of every token, as latin-1 text.
    :ivar special: the surfaces and ids of special tokens.
    :ivar completions: there is a completions route that takes a prompt as it is.
    :ivar token_ids: it takes token ids as a prompt.
    :ivar named: it tells the exact log-probability of any token by its id.
    :ivar listed: how many of the likeliest tokens it tells at most; -1: all.
    :ivar echo: whether it scores a prompt, and whether these numbers obey the chain rule.
    :ivar chat: there is a chat route. `chat_listed`: as `listed`, there.
    :ivar prefill: a last message of the assistant is continued, not answered.
    :ivar steering: a bias makes a token certain, and the log-probabilities told are those before.
    :ivar structured: it can be held to one of several strings.
    :ivar decisions: it answers questions with probabilities of its own.
    :ivar refused: parameters that the model does not take.
    """

    model_config = ConfigDict(frozen=True)

    server: str
    model: str
    version: str = ""
    identity: str = ""
    vocabulary_size: int | None = None
    context_length: int | None = None
    bos: int | None = None
    adds_bos: bool = False
    blank_first: bool = False
    eos: tuple[int, ...] = ()
    special: tuple[tuple[str, int], ...] = ()
    surfaces: tuple[str, ...] | None = None
    tokenize: str = ""
    completions: bool = False
    token_ids: bool = False
    named: bool = False
    listed: int = 0
    echo: Echo = "none"
    chat: bool = False
    chat_listed: int = 0
    prefill: bool = False
    steering: bool = False
    structured: bool = False
    decisions: bool = False
    chat_template: bool = False
    refused: tuple[str, ...] = ()
    slots: int | None = None

    @property
    def special_tokens(self) -> tuple[SpecialToken, ...]:
        """As core wants them."""
        return tuple(SpecialToken(text, token) for text, token in self.special)

    def for_people(self) -> dict[str, Any]:
        """What a person wants to see: all but the vocabulary."""
        found = self.model_dump(exclude={"surfaces", "special", "identity"})
        return {name: value for name, value in found.items() if value not in (None, "", ())}


def kept(key: str, identity: str) -> Facts | None:
    """What was found out before about the same model on the same server."""
    path = _file(key)
    for file in (path, _doubtful(path)):
        try:
            if file != path and time.time() - file.stat().st_mtime > DOUBTED_SECONDS:
                continue
            facts = Facts.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue
        if facts.identity == identity:
            return facts
    return None


def keep(key: str, facts: Facts, *, doubtful: bool = False) -> None:
    """Remember it; where nothing can be written, it is found out again next time.

    :param doubtful: some request failed inside the server: that may be how it refuses what it does
        not know, or have passed by tomorrow. It is remembered for an hour.
    """
    path = _doubtful(_file(key)) if doubtful else _file(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(facts.identity.encode()).hexdigest()[:8]
        with write_atomically(path, suffix=f".{digest}") as stream:
            stream.write(facts.model_dump_json().encode())
    except OSError:
        return


def _doubtful(path: Path) -> Path:
    return path.with_suffix(".doubtful.json")


def _file(key: str) -> Path:
    name = hashlib.sha256(f"{FORMAT} {key}".encode()).hexdigest()[:32]
    return cache_folder("openai") / "servers" / f"{name}.json"
