"""The thoughts of a model before an action: greedy, up to its own end-of-thinking token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autocog_core.automaton.thinking import Thinking
from autocog_core.errors import CapabilityError, ContextOverflowError, InputError
from autocog_core.evaluation.branch import ActionResult, ActionSteps, Branch
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.text_scoring import ScoringContext
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.token_tree import TreeQuery


@dataclass(frozen=True, slots=True)
class ThinkingEnd:
    """How thoughts end.

    :ivar text: the text that ends them, such as "</think>".
    :ivar forced: the text that is put in if the model does not end them.
    :ivar tokens: the tokens of `text`.
    """

    text: str
    forced: str
    tokens: tuple[int, ...]


_GPT_OSS = "<|channel|>final<|message|>"
#: Ends of thoughts, and what stands before them if they are put in. Each is one token, except that
#: of gpt-oss, whose answer is in another channel.
_KNOWN_ENDS = (
    ("</think>", ""),
    ("[/THINK]", ""),
    ("</thinking>", ""),
    ("</seed:think>", ""),
    ("<|END_THINKING|>", ""),
    ("◁/think▷", ""),
)


def find_thinking_end(client: BackendClient, thinking: Thinking, uid: str) -> ThinkingEnd:
    """Return how a model ends its thoughts.

    :param client: the model's client.
    :param thinking: names the end, or else the model's special tokens do.
    :param uid: the action, for errors.
    :raises CapabilityError: if no end is named, and none is known for the model.
    """
    if thinking.end is not None:
        tokens = _encode(client, thinking.end)
        if not tokens:
            raise InputError("its thinking has an empty end", where=f'action "{uid}"')
        return ThinkingEnd(thinking.end, thinking.end, tokens)
    for text, before in _KNOWN_ENDS:
        tokens = _encode(client, text)
        if len(tokens) == 1:
            return ThinkingEnd(text, before + text, tokens)
    if {"<|channel|>", "<|message|>"} <= {token.text for token in client.info.special_tokens}:
        opening = "<|end|><|start|>assistant"
        return ThinkingEnd(_GPT_OSS, opening + _GPT_OSS, _encode(client, _GPT_OSS))
    raise CapabilityError(
        "no token that ends the thoughts of this model is known",
        where=f'action "{uid}"',
        hint='name it: `thinking: {length: ..., end: "..."}`, or leave thinking out',
    )


def think(
    client: BackendClient, thinking: Thinking, end: ThinkingEnd, context: PathContext, uid: str
) -> ActionSteps:
    """Let the model think after a context.

    :param uid: the action, for errors.
    :raises ContextOverflowError: if the thoughts may not fit the model's context.
    :returns: one branch. Its text has the end, if the model wrote it.
    """
    base = encode_prompt(client, context.prompt())
    try:
        check_sequence(base, client.info, new_tokens=thinking.length)
    except ContextOverflowError as error:
        error.where, error.hint = f'thinking of action "{uid}"', "give it a smaller length"
        raise
    scoring = ScoringContext(client, context, base)
    texts = scoring.unscored_texts()
    none = np.zeros(0, dtype=np.int32)
    tokens: list[int] = []
    logprobs: list[float] = []
    finish_reason = ""
    while not finish_reason:
        query = TreeQuery(
            prefix=(*base, *tokens),
            tokens=none,
            parents=none,
            top_at=np.array([-1], dtype=np.int32),
            top_k=1,
        )
        (answer,) = yield [query if tokens else scoring.with_texts(query)]
        if not tokens:
            answer, texts = scoring.split_answer(answer)
        tokens.append(int(answer.top_tokens[0][0]))
        logprobs.append(min(0.0, float(answer.top_logprobs[0][0])))
        finish_reason = _finish_reason(client, tokens, thinking, end)
    # The end of the sequence is decided, but is no part of what follows.
    kept = tokens[:-1] if finish_reason == "eos" else tokens
    branch = Branch(
        text=_decode(client, kept),
        tokens=tuple(tokens),
        logprobs=tuple(logprobs),
        rank=0.0,
        prob=1.0,
        context=PathContext((*base, *kept)),
        finish_reason=finish_reason,
        kept_tokens=len(kept),
    )
    return ActionResult(branches=(branch,), texts=texts, base=scoring.base)


def text_after_thoughts(
    thinking: Thinking, end: ThinkingEnd, finish_reason: str | None
) -> Prompt | None:
    """Return the text between the thoughts and their action; None if there is none."""
    forced = "" if finish_reason == "stop" else end.forced
    pieces = (TextPiece(forced, trusted=True), TextPiece(thinking.after))
    filled = tuple(piece for piece in pieces if piece.text)
    return Prompt(filled) if filled else None


def _finish_reason(
    client: BackendClient, tokens: Sequence[int], thinking: Thinking, end: ThinkingEnd
) -> str:
    if tuple(tokens[-len(end.tokens) :]) == end.tokens or _ends_with_text(client, tokens, end):
        return "stop"
    if tokens[-1] in client.info.eos:
        return "eos"
    return "length" if len(tokens) == thinking.length else ""


def _ends_with_text(client: BackendClient, tokens: Sequence[int], end: ThinkingEnd) -> bool:
    """Return whether ordinary tokens spell the end, however they are split."""
    raw = end.text.encode()
    return len(end.tokens) > 1 and client.detokenize(tokens[-len(raw) :]).endswith(raw)


def _encode(client: BackendClient, text: str) -> tuple[int, ...]:
    return tuple(client.tokenize([text], at_start=False, parse_special=True)[0])


def _decode(client: BackendClient, tokens: Sequence[int]) -> str:
    """Return the text of tokens, with the texts of special tokens, which have no bytes."""
    special = {token.id: token.text.encode() for token in client.info.special_tokens}
    parts = (special.get(token) or client.token_bytes(token) for token in tokens)
    return b"".join(parts).decode("utf-8", errors="replace")
