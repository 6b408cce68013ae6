"""How vLLM writes log-probabilities.

A step's entries come in a certain order: the token itself, then the likeliest, or those that were
asked for by id. The chat route cuts them to `top_logprobs` (so a sampled token outside of them
takes the last one's place), completions to one more, and neither cuts those asked for by id.
Completions put them into one object by token text, where equal texts hide each other: hence
`return_tokens_as_token_ids`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.openai.servers.engine import Engine, Row, Step
from tests.support.openai.servers.replies import clamped

#: By token id, in vLLM's order: log-probability and rank.
Entries = dict[int, tuple[float, int]]


class Names:
    """What tokens are called.

    :param as_ids: "token_id:5" in place of their texts.
    """

    def __init__(self, engine: Engine, as_ids: bool) -> None:
        self.engine = engine
        self.as_ids = as_ids

    def __getitem__(self, token: int) -> str:
        return f"token_id:{token}" if self.as_ids else self.text(token)

    def text(self, token: int) -> str:
        """A token's text; of bytes that are no character by themselves, vLLM leaves nothing."""
        text = self.engine.decode([token])
        return "" if "\ufffd" in text else text

    def keyed(self, scored: Sequence[Entries | None]) -> list[dict[str, Any] | None]:
        """`prompt_logprobs` as JSON has them: keys are ids as strings."""

        def written(token: int, logprob: float, rank: int) -> dict[str, Any]:
            text = self.text(token)
            return {"logprob": clamped(logprob), "rank": rank, "decoded_token": text}

        return [
            None
            if entries is None
            else {str(token): written(token, *each) for token, each in entries.items()}
            for entries in scored
        ]


def prompt_entries(engine: Engine, tokens: Sequence[int], count: int) -> list[Entries | None]:
    """Those of a prompt's tokens; nothing is known of the first."""
    rows = engine.rows(tokens)
    return [None, *(_entries(Step(token, row, row), count, None) for token, row in rows)]


def completion_logprobs(
    names: Names,
    tokens: Sequence[int],
    known: Sequence[Entries | None],
    steps: Sequence[Step],
    body: Mapping[str, Any],
) -> dict[str, Any]:
    """The `logprobs` of a completion's choice.

    :param known: entries of the first of `tokens`, an echoed prompt's.
    :param steps: the rest of them.
    """
    count, named = body["logprobs"], body.get("logprob_token_ids")
    entries = [*known, *(_entries(step, count, named) for step in steps)]
    offsets, length = [], 0
    for token in tokens:
        offsets.append(length)
        length += len(names[token])
    return {
        "text_offset": offsets,
        "tokens": [names[token] for token in tokens],
        "token_logprobs": [
            None if each is None else clamped(each[token][0])
            for token, each in zip(tokens, entries, strict=True)
        ],
        "top_logprobs": [
            each and {names[token]: clamped(logprob) for token, (logprob, _) in each.items()}
            for each in entries
        ],
    }


def chat_content(names: Names, step: Step, body: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of a chat choice's `logprobs.content`."""
    named = body.get("logprob_token_ids")
    count = body.get("top_logprobs") or 0
    entries = list(_entries(step, count, named).items())
    if not named and count >= 0:
        entries = entries[:count]
    written = [_written(names, token, logprob) for token, (logprob, _) in entries]
    return _written(names, step.token, step.logprob) | {"top_logprobs": written}


def _written(names: Names, token: int, logprob: float) -> dict[str, Any]:
    raw = names.text(token).encode()
    return {"token": names[token], "logprob": clamped(logprob), "bytes": list(raw)}


def _entries(step: Step, count: int, named: Sequence[int] | None) -> Entries:
    tokens = [step.token, *(named or step.top(count))]
    return {token: (float(step.row[token]), _rank(step.row, token)) for token in tokens}


def _rank(row: Row, token: int) -> int:
    return int((row > row[token]).sum()) + 1
