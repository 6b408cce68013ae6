"""SGLang: exact values of any tokens by `token_ids_logprob`, on its native route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_core import ConfigError
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import malformed
from autocog_openai.connection.scorer import Heard, Wanted, clean, token_id
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.servers.eos_tokens import find_ends


class SglangScorer:
    """One request a position."""

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection = connection
        self._facts = facts

    def plan(self, wanted: Wanted, heard: Heard) -> Sequence[Wanted]:
        """All that is wanted in one request; it lists as many of the likeliest as it is asked."""
        if wanted.top < 0:
            size = self._facts.vocabulary_size
            if size is None or heard.listed == -1:
                return []
            wanted = Wanted(wanted.tokens, wanted.named, size)
        return [wanted]

    def ask(self, wanted: Wanted) -> Heard:
        """One token is sampled; only what is told about its position counts."""
        body: dict[str, Any] = {
            "input_ids": list(wanted.tokens),
            "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
            "return_logprob": True,
            # Of the prompt nothing is wanted: scoring it would bypass the cache of prefixes.
            "logprob_start_len": -1,
            "top_logprobs_num": max(0, wanted.top),
        }
        if wanted.named:
            body["token_ids_logprob"] = list(wanted.named)
        answer = self._connection.post("/generate", body)
        try:
            meta = answer["meta_info"]
            found: dict[int, float] = {}
            listed = 0
            if wanted.top:
                listing = meta["output_top_logprobs"][0]
                listed = -1 if len(listing) == self._facts.vocabulary_size else len(listing)
                found |= {token_id(each[1]): clean(each[0]) for each in listing}
            if wanted.named:
                named = meta["output_token_ids_logprobs"][0]
                found |= {token_id(each[1]): clean(each[0]) for each in named}
            evaluated = int(meta["prompt_tokens"]) - int(meta.get("cached_tokens") or 0)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise malformed(self._connection.where, error) from error
        missing = set(wanted.named) - found.keys()
        if missing:
            raise malformed(self._connection.where, f"token {min(missing)} is not answered")
        return Heard(found, listed, evaluated)


def find_out(connection: Connection, model: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What this SGLang offers."""
    asked = {"model": model, "prompt": "a"}
    known: dict[str, Any] = {}
    ids = [0, 1]
    try:
        ids = connection.post("/tokenize", {**asked, "add_special_tokens": False})["tokens"]
        with_start = connection.post("/tokenize", {**asked, "add_special_tokens": True})["tokens"]
        bos = with_start[0] if len(with_start) == len(ids) + 1 else None
        known = {"bos": bos, "adds_bos": bos is not None, "tokenize": "sglang"}
    except ConfigError:
        # A router has no such routes: `tokenizer` must tell the tokenizer.
        if connection.options.tokenizer is None:
            raise
    body = {
        "input_ids": list(ids),
        "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
        "return_logprob": True,
        "token_ids_logprob": [0, 1],
    }

    def ends(token: int) -> bool:
        sampling = {"max_new_tokens": 2, "temperature": 0.0, "logit_bias": {str(token): 1000.0}}
        answer = connection.post("/generate", {**body, "sampling_params": sampling})
        reason = answer["meta_info"]["finish_reason"]
        return bool(isinstance(reason, Mapping) and reason.get("type") == "stop")

    def parsed(text: str) -> list[int]:
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        return list(map(int, connection.post("/tokenize", body)["tokens"]))

    if "tokenize" in known:
        known["special"], known["eos"] = find_ends(connection, parsed, ends)
    told = connection.post("/generate", body)["meta_info"].get("output_token_ids_logprobs") or [[]]
    return {
        **known,
        "context_length": entry.get("max_model_len"),
        "completions": True,
        "token_ids": True,
        "named": {0, 1} <= {token_id(each[1]) for each in told[0]},
        "listed": 0,
        "chat": True,
        "prefill": True,
        "structured": True,
    }


def rescored(
    connection: Connection, prompt: Sequence[int], tokens: Sequence[int]
) -> tuple[float, ...]:
    """The log-probabilities of `tokens` after `prompt`, before any temperature.

    What is told while tokens are sampled is after temperature; of a prompt's tokens it is not.
    """
    body: dict[str, Any] = {
        "input_ids": [*prompt, *tokens],
        "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
        "return_logprob": True,
        # The first entry is always empty: it is that of the token before.
        "logprob_start_len": len(prompt) - 1,
    }
    answer = connection.post("/generate", body)
    try:
        entries = answer["meta_info"]["input_token_logprobs"][-len(tokens) :]
        if [int(entry[1]) for entry in entries] != list(tokens):
            raise ValueError("other tokens")
        return tuple(clean(entry[0]) for entry in entries)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise malformed(connection.where, error) from error
