"""Laws of answers: what a hook returns is complete and of the right type."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autocog_core.errors import CapabilityError
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.completion_laws import MAX_TOKENS
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation
from autocog_core.testing.tree_laws import TOP_AT, TOP_K, make_tree
from autocog_core.types.completion import Completion
from autocog_core.types.token_tree import TreeQuery, TreeScores


@law("trees")
def tree_answers_are_complete(subject: BackendUnderTest) -> None:
    """A token tree has a score for every node, and the requested number of next tokens."""
    size = subject.model.info.vocabulary_size
    for prompt, prefix in subject.encoded_prompts():
        tree = make_tree(subject, prefix)
        top_at = np.array(TOP_AT, dtype=np.int32)
        query = replace(tree, top_at=top_at, top_k=min(TOP_K, size))
        nothing = np.zeros(0, dtype=np.int32)
        empty = replace(query, tokens=nothing, parents=nothing, top_at=top_at[:1])
        for each in (tree, query, empty):
            (scores,) = subject.raw.trees([each])
            _check_tree(prompt, each, scores, size)


def _check_tree(prompt: str, query: TreeQuery, scores: TreeScores, size: int) -> None:
    shapes = {
        "values": query.tokens.shape,
        "top_tokens": (len(query.top_at), query.top_k),
        "top_logprobs": (len(query.top_at), query.top_k),
    }
    for name, shape in shapes.items():
        values = getattr(scores, name)
        got = getattr(values, "shape", type(values).__name__)
        # Without requested tokens, any empty array will do.
        if got != shape and (0 not in shape or np.size(values)):
            raise LawViolation(f"{name} has the wrong shape", given=prompt, expected=shape, got=got)
    if (missing := np.flatnonzero(np.isnan(scores.values))).size:
        raise LawViolation(
            "nodes have no score, but NaN",
            given=prompt,
            got=missing.tolist(),
            cause="an overflow, or nodes that were forgotten",
        )
    ids = scores.top_tokens
    if ids.size and not (ids.min() >= -1 and ids.max() < size):
        raise LawViolation(
            "a next token is outside the vocabulary",
            given=prompt,
            expected=f"0..{size - 1}, or -1 to fill up a row",
            got=ids.tolist(),
        )


@law("completions")
def completion_answers_are_complete(subject: BackendUnderTest) -> None:
    """A completion has valid tokens, and a log-probability for each, or none."""
    max_tokens = subject.free_tokens(MAX_TOKENS)
    for prompt in subject.prompts[-2:]:
        completion = subject.raw.complete(prompt, max_tokens=max_tokens, temperature=0)
        _check_completion(subject, prompt, completion)
        try:
            sample = subject.raw.complete(prompt, max_tokens=max_tokens, temperature=1, n=2)
        except CapabilityError:
            continue
        for each in (sample, *sample.alternatives):
            _check_completion(subject, prompt, each)


def _check_completion(subject: BackendUnderTest, prompt: str, completion: Completion) -> None:
    size = subject.model.info.vocabulary_size
    if not isinstance(completion.text, str):
        raise LawViolation("the text is no text", given=prompt, got=completion.text)
    if outside := [token for token in completion.tokens if not 0 <= token < size]:
        raise LawViolation(
            "a completion has token ids outside the vocabulary",
            given=prompt,
            expected=f"0..{size - 1}",
            got=outside,
            cause="ids of another tokenizer, or a wrong info.vocabulary_size",
        )
    if completion.logprobs is None:
        return
    # Servers that name no ids may still give the log-probability of each token.
    if completion.tokens and len(completion.logprobs) != len(completion.tokens):
        raise LawViolation(
            "the tokens of a completion have no log-probability, or too many",
            given=prompt,
            expected=len(completion.tokens),
            got=len(completion.logprobs),
            cause="the token of EOS or of the stop string is left out of one of them",
        )
    values = np.array(completion.logprobs, dtype=np.float64)
    if np.isnan(values).any() or (values > subject.tolerance).any():
        raise LawViolation(
            "a log-probability of a completion is NaN or above 0",
            given=prompt,
            got=completion.logprobs,
            cause="the sign: these are negative log-likelihoods" if (values > 0).all() else "",
        )
