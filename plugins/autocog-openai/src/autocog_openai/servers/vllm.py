"""vLLM: exact values of named tokens by `logprob_token_ids`, which keeps its cache of prefixes.

As of vLLM 0.28; `prompt_logprobs` would switch that cache off, so it is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import malformed
from autocog_openai.connection.scorer import Heard, Wanted, clean, token_id
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.servers.eos_tokens import find_ends

#: Of `logprob_token_ids` in one request.
MOST_NAMED = 128


class VllmScorer:
    """One request a position, or several where more tokens are named than one may ask for."""

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection = connection
        self._facts = facts

    def plan(self, wanted: Wanted, heard: Heard) -> Sequence[Wanted]:
        """Named tokens and the likeliest ones come by requests of their own."""
        tokens, named, top = wanted.tokens, wanted.named, wanted.top
        if named and not self._facts.named:
            return []
        if top and heard.listed and heard.listed >= self._facts.listed >= 0:
            return []
        parts = range(0, len(named), MOST_NAMED)
        found = [Wanted(tokens, named[start : start + MOST_NAMED]) for start in parts]
        if top:
            most = self._facts.listed
            if most >= 0:
                top = most if top < 0 else min(top, most)
            found.append(Wanted(tokens, (), top))
        return found

    def ask(self, wanted: Wanted) -> Heard:
        """One token is sampled; only what is told about its position counts."""
        body: dict[str, Any] = {
            "model": self._facts.model,
            "prompt": list(wanted.tokens),
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": wanted.top,
            "return_tokens_as_token_ids": True,
        }
        if wanted.named:
            # Beside named ones the number of the likeliest counts only towards its cap.
            body["logprobs"] = 1
            body["logprob_token_ids"] = list(wanted.named)
        answer = self._connection.post("v1/completions", body)
        try:
            listing = answer["choices"][0]["logprobs"]["top_logprobs"][0]
            found = {id_of(name): clean(value) for name, value in listing.items()}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise malformed(self._connection.where, error) from error
        missing = set(wanted.named) - found.keys()
        if missing:
            raise malformed(self._connection.where, f"token {min(missing)} is not answered")
        listed = 0 if wanted.named else (wanted.top if wanted.top < 0 else len(found))
        return Heard(found, listed, evaluated(answer))


def id_of(name: str) -> int:
    """The id in "token_id:5"."""
    return token_id(name.removeprefix("token_id:"))


def evaluated(answer: Mapping[str, Any]) -> int:
    """Prompt tokens of an answer that were not in the server's cache."""
    usage = answer.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return int(usage.get("prompt_tokens") or 0) - int(details.get("cached_tokens") or 0)


def find_out(connection: Connection, model: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What this vLLM offers: which of its fields this version knows is tried."""
    start = list(map(int, connection.post("/tokenize", _asked(model, "a", False))["tokens"]))
    with_start = list(map(int, connection.post("/tokenize", _asked(model, "a", True))["tokens"]))
    body = {
        "model": model,
        "prompt": with_start,
        "max_tokens": 1,
        "temperature": 0.0,
        "return_tokens_as_token_ids": True,
    }
    # The least likely of the tokens at hand: it is not told unless it is named.
    named = {start[-1], max(0, start[-1] - 1)}
    answer = connection.post(
        "v1/completions", {**body, "logprobs": 1, "logprob_token_ids": sorted(named)}
    )
    told = answer["choices"][0]["logprobs"]["top_logprobs"][0]
    bos = with_start[0] if len(with_start) == len(start) + 1 else None

    def ends(token: int) -> bool:
        forced = {**body, "max_tokens": 2, "allowed_token_ids": [token]}
        choice = connection.post("v1/completions", forced)["choices"][0]
        return bool(choice["finish_reason"] == "stop")

    def ids(text: str) -> list[int]:
        return list(map(int, connection.post("/tokenize", _asked(model, text, False))["tokens"]))

    special, eos = find_ends(connection, ids, ends)
    return {
        "special": special,
        "eos": eos,
        "version": str(connection.get("/version").get("version", "")),
        "context_length": entry.get("max_model_len"),
        "bos": bos,
        "adds_bos": bos is not None,
        "tokenize": "vllm",
        "completions": True,
        "token_ids": True,
        "named": named <= {id_of(name) for name in told},
        "chat": True,
        "prefill": True,
        "structured": True,
    }


def _asked(model: str, text: str, special: bool) -> dict[str, Any]:
    return {"model": model, "prompt": text, "add_special_tokens": special}
