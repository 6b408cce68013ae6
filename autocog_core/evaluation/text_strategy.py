"""Choose and Complete by the backend's own `choose` and `complete`: the way without token trees.

For backends that tell no distributions. They are asked in text: what was said so far is text to
them. What they tell is exact only where they say so, and where that text is the very tokens that
were decided on the path; the ids that it would have by token trees are kept beside it for that.
"""

from __future__ import annotations

import math
from dataclasses import replace

from autocog_core.automaton.actions import Choose, Complete
from autocog_core.errors import CapabilityError, ConfigError
from autocog_core.evaluation.branch import Branch, Outcome, Steps, branch_probabilities
from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.path_context import Context
from autocog_core.evaluation.text_strategy_scores import INEXACT, ContextTokens, ScoredTexts
from autocog_core.evaluation.tree_choose import after_choice, choice_request, rank_of
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_encoding import EncodedChoices, encode_choices
from autocog_core.toolkit.stop_strings import find_first_stop
from autocog_core.types.choice import EOS, ChoiceScore, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Prompt

#: Methods of `choose` whose scores are no log-probabilities of text, and do not add to a path's.
UNSCORED = ("pick", "decision")


def choose_by_text(client: BackendClient, action: Choose, context: Context) -> Steps:
    """Let the backend score the choices of an action."""
    footing = ContextTokens.of(client, context)
    try:
        encoded = encode_choices(client, choice_request(action, context.prompt()))
    except (CapabilityError, ConfigError):
        footing, encoded = ContextTokens.unknown(), None
    texts = ScoredTexts(client, context, footing, encoded.base if encoded is not None else None)
    request = choice_request(action, Prompt(context.said or ()))
    result, *given = yield [request, *texts.requests]
    spelled = _spelled(client, action, encoded)
    doubt = _doubt_of_choice(footing, spelled, result)
    branches = []
    for number, score in enumerate(result.scores):
        if encoded is None:
            after = footing.after(client, context, score.choice)
        else:
            after = after_choice(client, action, encoded.base, spelled[number])
        branch = _choice(action, result, score, context.followed_by(score.choice, after))
        split = encoded is not None and bool(after.pending)
        branches.append(replace(branch, retokenized=split, reason=doubt))
    if result.method in UNSCORED:
        # Nothing of them adds up along a path, by which the others could be told from the best.
        branches = [
            branch if number == result.index else replace(branch, pruned="width")
            for number, branch in enumerate(branches)
        ]
    return Outcome(tuple(branches), *texts.scored(given))


def complete_by_text(client: BackendClient, action: Complete, context: Context) -> Steps:
    """Let the backend write; several beams are several samples, ranked by what it tells of them.

    :raises CapabilityError: for a set of tokens, which only token distributions can honour.
    """
    if action.vocab is not None or not action.eos:
        raise CapabilityError(
            "its vocab and eos need a backend that tells token distributions",
            where=f'action "{action.uid}"',
            hint='take a model for the strategy "token_tree"',
        )
    footing = ContextTokens.of(client, context)
    count = action.samples or action.beams
    sampled = count > 1 or action.samples > 0
    request = CompletionRequest(
        Prompt(context.said or ()),
        action.length,
        action.stop,
        temperature=action.temperature if sampled else 0.0,
        top_p=action.top_p if action.samples else 1.0,
        seed=action.seed if sampled else None,
        n=count,
    )
    texts = ScoredTexts(client, context, footing, footing.ids)
    found, *given = yield [request, *texts.requests]
    written = [found, *found.alternatives]
    told = all(one.logprobs is not None for one in written)
    frequencies = None if told and not action.samples else [1 / len(written)] * len(written)
    scores = frequencies or [_score(action, one) for one in written]
    ranks, shares = branch_probabilities([one.text for one in written], scores, frequencies)
    branches = []
    for number, one in enumerate(written):
        branch = _completion(client, action, context, footing, one)
        branch = replace(branch, rank=ranks[number], prob=shares.get(number, 0.0))
        branches.append(branch if number in shares else replace(branch, pruned="duplicate"))
    return Outcome(tuple(branches), *texts.scored(given))


def finish_by_text(client: BackendClient, context: Context) -> Steps:
    """The end of a path: what is pending gets its tokens, and its scores where asked for."""
    footing = ContextTokens.of(client, context)
    texts = ScoredTexts(client, context, footing, footing.ids)
    given = (yield texts.requests) if texts.requests else ()
    return Outcome((), *texts.scored(given))


def _spelled(
    client: BackendClient, action: Choose, encoded: EncodedChoices | None
) -> list[tuple[int, ...]]:
    """Each choice's decided tokens by token trees; none without a tokenizer."""
    end = client.info.eos[:1] if action.suffix is EOS else ()
    return [(*tokens, *end) for tokens in encoded.decided] if encoded is not None else []


def _doubt_of_choice(
    footing: ContextTokens, spelled: list[tuple[int, ...]], result: ChoiceScores
) -> str:
    """Why scores are not those of the same choices by token trees; empty where they are."""
    if not result.exact:
        return result.reason or INEXACT
    if footing.doubt or [score.tokens for score in result.scores] == spelled:
        return footing.doubt
    return "the choices are scored with tokens other than those that continue the path"


def _choice(action: Choose, result: ChoiceScores, score: ChoiceScore, context: Context) -> Branch:
    scored = result.method not in UNSCORED
    told = scored and len(score.tokens) == len(score.token_logprobs)
    return Branch(
        score.choice,
        score.tokens if told else (),
        score.token_logprobs if told else (),
        rank_of(action, score) if scored else score.prob,
        score.prob,
        context,
    )


def _completion(
    client: BackendClient,
    action: Complete,
    context: Context,
    footing: ContextTokens,
    one: Completion,
) -> Branch:
    """A text that the backend wrote, not ranked as yet."""
    doubt = footing.doubt
    if action.beams > 1 and not action.samples:
        doubt = f"{action.beams} samples in place of beams: a search needs token distributions"
    grown = None
    if one.logprobs is None or len(one.logprobs) != len(one.tokens):
        doubt = "the backend tells no log-probabilities"
    else:
        grown = _grown(client, action, one) if footing.ids is not None else None
        if grown is None:
            doubt = doubt or "the tokens that the backend tells do not spell its text"
    if grown is not None and footing.ids is not None:
        branch = grown.branch(client, footing.ids, 0.0, 0.0)
        return replace(branch, context=context.followed_by(one.text, branch.context), reason=doubt)
    told = one.logprobs is not None and len(one.logprobs) == len(one.tokens)
    return Branch(
        one.text,
        one.tokens if told else (),
        one.logprobs or () if told else (),
        0.0,
        0.0,
        context.followed_by(one.text, footing.after(client, context, one.text)),
        finish=one.finish_reason,
        reason=doubt,
    )


def _grown(client: BackendClient, action: Complete, one: Completion) -> Hypothesis | None:
    """A completion as decided tokens; None where they are not what its text says."""
    raw = client.detokenize(one.tokens)
    stop = find_first_stop(raw, 0, action.stop)
    finish, size = None, len(raw)
    if one.tokens and one.tokens[-1] in client.info.eos:
        finish = "eos"
    elif stop is not None:
        finish, size = "stop", stop[0]
    logprobs = tuple(min(0.0, logprob) for logprob in one.logprobs or ())
    found = Hypothesis(one.tokens, logprobs, sum(logprobs), raw, size, one.finish_reason)
    ended = (finish or "length") == one.finish_reason
    return found if ended and found.text == one.text else None


def _score(action: Complete, text: Completion) -> float:
    """What several texts rank by, as beams do."""
    score = (text.logprob or 0.0) / max(1, len(text.tokens)) ** action.length_penalty
    return score if math.isfinite(score) else -math.inf
