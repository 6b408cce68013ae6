"""Completions with a constraint, for every backend that has token distributions."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from autocog_core.automaton.actions import Complete
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.text_rules import TextRules, language_for, require_masks
from autocog_core.evaluation.text_steps import Step
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.tree_complete import draw, no_token_allowed_error
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.toolkit.engine_options import reject_unknown_options
from autocog_core.types.completion import Completion, CompletionRequest


def complete_constrained(client: BackendClient, request: CompletionRequest) -> Completion:
    """Write texts that meet a constraint, token by token.

    :param client: the model's client.
    :param request: a request with a constraint.
    :raises CapabilityError: if the backend has no token distributions or no vocabulary.
    :raises InputError: for a constraint that cannot be read, or that no text can meet.
    """
    constraint = request.constraint
    assert constraint is not None
    require_masks(client, constraint, where="complete")
    reject_unknown_options(request.extra, (), client.model_name)
    masks = TokenMaskCache.for_model(client)
    action = Complete(uid="complete", length=request.max_tokens, stop=request.stop)
    rules = TextRules(
        client=client,
        length=request.max_tokens,
        stop=request.stop,
        allowed=AllowedTokens(client, action, None, masks),
        language=language_for(masks, constraint, request.stop),
    )
    base = tuple(encode_prompt(client, request.prompt))
    check_sequence(base, client.info, new_tokens=request.max_tokens)
    first, *others = (_write(rules, base, request, index) for index in range(request.n))
    return replace(first, alternatives=tuple(others))


def _write(
    rules: TextRules, base: tuple[int, ...], request: CompletionRequest, index: int
) -> Completion:
    seed = None if request.seed is None else [request.seed, index]
    generator = np.random.default_rng(seed)
    size = rules.client.info.vocabulary_size
    text = Hypothesis(state=rules.start())
    release = _TextRelease(request, index)
    evaluated = 0
    while text.finish_reason is None:
        step = Step.of(rules, text, take_single_tokens=True)
        if not step.needs_answer:
            text = step.text
            break
        (answer,) = rules.client.greedy_tree([step.query(base, size if request.temperature else 1)])
        evaluated += answer.tokens_evaluated
        text = draw(rules, step, answer, request, generator)
        release.up_to(text)
    if not text.tokens:
        raise no_token_allowed_error("completion", request.constraint, has_vocab=False)
    release.up_to(text, final=True)
    assert text.finish_reason is not None
    return Completion(
        text=text.text,
        tokens=text.tokens,
        logprobs=text.logprobs,
        allowed=text.allowed,
        finish_reason=text.finish_reason,
        stop_string=_stop_string(text, request),
        tokens_evaluated=evaluated,
    )


def _stop_string(text: Hypothesis, request: CompletionRequest) -> str | None:
    """Return the stop string that ended a text: the longest, if several begin there."""
    if text.finish_reason != "stop":
        return None
    after = text.raw[text.text_bytes :]
    found = [stop for stop in request.stop if after.startswith(stop.encode("utf-8"))]
    return max(found, key=len, default=None)


class _TextRelease:
    """Passes on the text that cannot be part of a stop string any more.

    :param request: the request: `on_text` and the stop strings are taken from it.
    :param index: index of the sample; only sample 0 is streamed.
    """

    def __init__(self, request: CompletionRequest, index: int) -> None:
        self._on_text: Callable[[str], None] | None = request.on_text if index == 0 else None
        stops = [len(stop.encode("utf-8")) for stop in request.stop]
        self._kept_bytes = max(stops, default=1) - 1
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._released = 0

    def up_to(self, text: Hypothesis, *, final: bool = False) -> None:
        """Pass on what is new, up to the end of the text if it is the whole one."""
        if self._on_text is None:
            return
        end = text.text_bytes if final else text.text_bytes - self._kept_bytes
        new = text.raw[self._released : max(self._released, end)]
        self._released += len(new)
        if piece := self._decoder.decode(new, final):
            self._on_text(piece)
