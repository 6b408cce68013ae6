"""Choose and Complete by the backend's own `choose` and `complete`: the strategy "text".

It is for backends without token distributions. The backend receives the path as text. Its scores
are exact if it says so, and if the text has the tokens that were decided on the path. To check
this, core also keeps the ids that the path would have with token trees.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from autocog_core.automaton.actions import Choose, Complete
from autocog_core.errors import CapabilityError, ConfigError
from autocog_core.evaluation.branch import ActionResult, ActionSteps, Branch, branch_probabilities
from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.text_rules import TextState
from autocog_core.evaluation.text_strategy_scores import INEXACT, ContextTokens, ScoredTexts
from autocog_core.evaluation.tree_choose import (
    choice_request,
    context_after_choice,
    ranking_score,
)
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_encoding import EncodedChoices
from autocog_core.scoring.choice_texts import encode_distinct_texts, merge_texts
from autocog_core.toolkit.stop_strings import find_first_stop
from autocog_core.types.choice import EOS, UNSCORED_METHODS, ChoiceScore, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Prompt

#: "token_tree": exact scores by token trees. "text": the backend's own `choose` and `complete`.
Strategy = Literal["token_tree", "text"]


def choose_by_text(client: BackendClient, action: Choose, context: PathContext) -> ActionSteps:
    """Let the backend score the choices of an action."""
    tokens = ContextTokens.for_context(client, context)
    owners, texts_of_choices = action.texts.owners, action.texts.texts
    encoded: EncodedChoices | None
    try:
        request, encoded, owners = encode_distinct_texts(
            client, choice_request(action, context), owners
        )
        texts_of_choices = request.choices
    except (CapabilityError, ConfigError):
        tokens, encoded = ContextTokens.unknown(), None
    base = encoded.shared_ids if encoded is not None else None
    texts = ScoredTexts(client, context, tokens, base)
    request = choice_request(action, context, Prompt(context.text or ()))
    request = replace(request, choices=texts_of_choices)
    result, *text_answers = yield [request, *texts.requests]
    choice_ids = _choice_ids(client, action, encoded)
    reason = _inexact_reason(tokens, choice_ids, result)
    result, likeliest = merge_texts(result, owners, action.texts.values)
    branches = []
    for text, score in zip(likeliest, result.scores, strict=True):
        if encoded is None:
            after = tokens.context_after(client, context, score.choice)
        else:
            after = context_after_choice(client, action, encoded.shared_ids, choice_ids[text])
        branch = _choice_branch(action, result, score, context.with_text_then(score.choice, after))
        if encoded is not None and branch.tokens == choice_ids[text]:
            branch = replace(branch, kept_tokens=len(after.ids) - len(encoded.shared_ids))
        retokenized = encoded is not None and bool(after.pending_texts)
        branches.append(replace(branch, retokenized=retokenized, reason=reason))
    if result.method in UNSCORED_METHODS:
        # Without log-probabilities, the run cannot compare the paths after them.
        branches = [
            branch if index == result.index else replace(branch, pruned_by="width")
            for index, branch in enumerate(branches)
        ]
    return replace(texts.result(branches, text_answers), scored=(request, result))


def complete_by_text(client: BackendClient, action: Complete, context: PathContext) -> ActionSteps:
    """Let the backend write. In place of several beams, it draws several samples.

    :raises CapabilityError: for what needs token distributions, and for a constraint that the
        backend cannot keep.
    """
    _require_text_strategy(client, action)
    tokens = ContextTokens.for_context(client, context)
    count = action.samples or action.beams
    is_sampled = count > 1 or action.samples > 0
    request = CompletionRequest(
        prompt=Prompt(context.text or ()),
        max_tokens=action.length,
        stop=action.stop,
        temperature=action.temperature if is_sampled else 0.0,
        top_p=action.top_p if action.samples else 1.0,
        seed=action.seed if is_sampled else None,
        n=count,
        constraint=action.constraint,
    )
    texts = ScoredTexts(client, context, tokens, tokens.ids)
    first, *text_answers = yield [request, *texts.requests]
    completions = [first, *first.alternatives]
    # Samples rank by frequency, samples in place of beams by their scores, if they all have one.
    has_scores = all(completion.logprobs is not None for completion in completions)
    by_score = has_scores and not action.samples
    frequencies = None if by_score else [1 / len(completions)] * len(completions)
    ranks, probs = branch_probabilities(
        [completion.text for completion in completions],
        frequencies or [_score(action, completion) for completion in completions],
        frequencies,
    )
    branches = []
    for index, completion in enumerate(completions):
        branch = _completion_branch(client, action, context, tokens, completion)
        branch = replace(
            branch,
            rank=ranks[index],
            prob=probs.get(index, 0.0),
            is_sample=is_sampled and not by_score,
        )
        if index not in probs:
            branch = replace(branch, pruned_by="duplicate")
        elif completion.finish_reason == "incomplete":
            branch = replace(branch, pruned_by="incomplete")
        branches.append(branch)
    return texts.result(branches, text_answers)


def _require_text_strategy(client: BackendClient, action: Complete) -> None:
    options = {
        "vocab": action.vocab is not None,
        "eos": not action.eos,
        "followed_by": action.followed_by is not None,
        "importance_weights": action.importance_weights,
    }
    missing = " and ".join(name for name, is_set in options.items() if is_set)
    constraint = action.constraint
    if not missing and constraint is not None and not client.has_masks():
        kinds = client.info.constraints
        if constraint.kind not in kinds:
            missing = f"{constraint.kind} (it serves {', '.join(kinds) or 'no constraint'})"
    if missing:
        raise CapabilityError(
            f"its {missing} needs a backend with token distributions",
            where=f'action "{action.uid}"',
            hint='take a model for the strategy "token_tree"',
        )


def finish_by_text(client: BackendClient, context: PathContext) -> ActionSteps:
    """Give the texts at the end of a path their tokens, and score those to evaluate."""
    if context.is_empty:
        return ActionResult(branches=())
    tokens = ContextTokens.for_context(client, context)
    texts = ScoredTexts(client, context, tokens, tokens.ids)
    text_answers = (yield texts.requests) if texts.requests else ()
    return texts.result((), text_answers)


def _choice_ids(
    client: BackendClient, action: Choose, encoded: EncodedChoices | None
) -> list[tuple[int, ...]]:
    """Return each choice's decided ids with token trees; nothing without a tokenizer."""
    eos = client.info.eos[:1] if action.suffix is EOS else ()
    return [(*ids, *eos) for ids in encoded.choice_ids] if encoded is not None else []


def _inexact_reason(
    tokens: ContextTokens, choice_ids: list[tuple[int, ...]], result: ChoiceScores
) -> str:
    """Return why scores differ from those of token trees; empty if they do not."""
    if not result.exact:
        return result.reason or INEXACT
    if tokens.inexact_reason or [score.tokens for score in result.scores] == choice_ids:
        return tokens.inexact_reason
    return "the choices are scored with tokens other than those that continue the path"


def _choice_branch(
    action: Choose, result: ChoiceScores, score: ChoiceScore, context: PathContext
) -> Branch:
    is_scored = result.method not in UNSCORED_METHODS
    has_logprobs = is_scored and len(score.tokens) == len(score.token_logprobs)
    return Branch(
        text=score.choice,
        tokens=score.tokens if has_logprobs else (),
        logprobs=score.token_logprobs if has_logprobs else (),
        rank=ranking_score(action, score) if is_scored else score.prob,
        prob=score.prob,
        context=context,
        value=score.value,
        unconditional_prompt=result.unconditional_prompt,
    )


def _completion_branch(
    client: BackendClient,
    action: Complete,
    context: PathContext,
    tokens: ContextTokens,
    completion: Completion,
) -> Branch:
    """Return the branch of a completion, without its rank and probability."""
    text = completion.text
    reason = tokens.inexact_reason or completion.reason
    if action.beams > 1 and not action.samples:
        reason = f"{action.beams} samples in place of beams: a search needs token distributions"
    logprobs = completion.logprobs
    has_logprobs = logprobs is not None and len(logprobs) == len(completion.tokens)
    hypothesis = None
    if completion.finish_reason == "unknown":
        reason = "the backend does not say why the text ended: it may be incomplete"
    elif not has_logprobs:
        reason = "the backend returns no log-probabilities"
    else:
        if tokens.ids is not None:
            hypothesis = _hypothesis(client, action, completion)
        if hypothesis is None:
            reason = reason or "the tokens that the backend returns do not spell its text"
    if hypothesis is not None and tokens.ids is not None:
        branch = hypothesis.to_branch(client, tokens.ids, 0.0, 0.0)
        after = context.with_text_then(text, branch.context)
        return replace(branch, context=after, reason=reason)
    return Branch(
        text=text,
        tokens=completion.tokens if has_logprobs else (),
        logprobs=(logprobs or ()) if has_logprobs else (),
        allowed=(completion.allowed or ()) if has_logprobs else (),
        rank=0.0,
        prob=0.0,
        context=context.with_text_then(text, tokens.context_after(client, context, text)),
        finish_reason=completion.finish_reason,
        reason=reason,
    )


def _hypothesis(
    client: BackendClient, action: Complete, completion: Completion
) -> Hypothesis | None:
    """Return a completion as decided tokens; None if they do not spell its text."""
    raw = client.detokenize(completion.tokens)
    stop = find_first_stop(raw, 0, action.stop)
    finish_reason, text_bytes = "length", len(raw)
    if completion.tokens and completion.tokens[-1] in client.info.eos:
        finish_reason = "eos"
    elif stop is not None:
        finish_reason, text_bytes = "stop", stop[0]
    logprobs = tuple(min(0.0, logprob) for logprob in completion.logprobs or ())
    hypothesis = Hypothesis(
        state=TextState(),
        tokens=completion.tokens,
        logprobs=logprobs,
        allowed=completion.allowed or (),
        logprob=sum(logprobs),
        raw=raw,
        text_bytes=text_bytes,
        finish_reason=completion.finish_reason,
    )
    # A text that a constraint or the limit ended has no token that shows it.
    expected = completion.finish_reason
    if expected in ("complete", "incomplete"):
        expected = "length"
    is_same = finish_reason == expected and hypothesis.text == completion.text
    return hypothesis if is_same else None


def _score(action: Complete, completion: Completion) -> float:
    """Return the length-normalized score of a sample, as for a beam."""
    length = max(1, len(completion.tokens))
    score = (completion.logprob or 0.0) / length**action.length_penalty
    return score if math.isfinite(score) else -math.inf
