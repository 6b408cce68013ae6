"""A Choose by token trees: exact scores from one token choice tree, or from a part of it."""

from __future__ import annotations

from dataclasses import replace

from autocog_core.automaton.actions import Choose
from autocog_core.evaluation.branch import ActionResult, ActionSteps, Branch
from autocog_core.evaluation.path_context import PathContext, split_at_byte
from autocog_core.evaluation.text_scoring import ScoringContext
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_texts import encode_distinct_texts, merge_texts
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.scoring.top_choices import TopSearch
from autocog_core.types.choice import EOS, SCORE_FIELD_OF_NORM, ChoiceRequest, ChoiceScore
from autocog_core.types.choice_value import Value
from autocog_core.types.prompt import Prompt
from autocog_core.types.search_goal import SearchGoal
from autocog_core.types.top_choices import TopChoice


def choose_by_tree(client: BackendClient, action: Choose, context: PathContext) -> ActionSteps:
    """Score the choices of an action after a context."""
    request = choice_request(action, context)
    owners, encoded = action.texts.owners, None
    if action.texts.has_several:
        request, encoded, owners = encode_distinct_texts(client, request, owners)
    tree = TokenChoiceTree.build(client, request, encoded)
    scoring = ScoringContext(client, context, tree.encoded.shared_ids)
    first_query, *other_queries = tree.to_queries()
    first, *others = yield [scoring.with_texts(first_query), *other_queries]
    choice_answer, texts = scoring.split_answer(first)
    result = tree.scores_from(client, request, [choice_answer, *others])
    if action.texts.has_several:
        result, _ = merge_texts(result, owners, action.texts.values)
    branches = tuple(
        _branch(client, action, scoring.base, score, value, result.unconditional_prompt)
        for score, value in zip(result.scores, action.texts.values, strict=True)
    )
    scored = (request, result)
    return ActionResult(branches=branches, base=scoring.base, texts=texts, scored=scored)


def choose_top_by_tree(
    client: BackendClient, action: Choose, context: PathContext, count: int
) -> ActionSteps:
    """Read the choices of an action after a context until the best of them are proven.

    :param count: the number of the best choices, which are the branches, in the order given.
    """
    request = choice_request(action, context)
    search = TopSearch(client, request, SearchGoal(top=count), values=action.texts.values)
    scoring = ScoringContext(client, context, search.tree.encoded.shared_ids)
    # The first node is the prefix: what follows it comes with the texts before it.
    first_query, *other_queries = search.next_queries()
    first, *others = yield [scoring.with_texts(first_query), *other_queries]
    choice_answer, texts = scoring.split_answer(first)
    search.receive([choice_answer, *others])
    while queries := search.next_queries():
        search.receive((yield queries))
    result = search.result()
    branches = tuple(
        replace(
            _branch(
                client, action, scoring.base, choice, choice.value, result.unconditional_prompt
            ),
            prob_bounds=choice.prob_bounds if choice.prob is None else None,
            choice=choice.index,
        )
        for choice in sorted(result.top, key=lambda choice: choice.index)
    )
    return ActionResult(branches=branches, base=scoring.base, texts=texts)


def choice_request(
    action: Choose, context: PathContext, prompt: Prompt | None = None
) -> ChoiceRequest:
    """Return the request for all texts of an action's choices after a context.

    :param prompt: the context as a prompt; None for its ids and pending texts.
    """
    return ChoiceRequest(
        prompt=context.prompt() if prompt is None else prompt,
        choices=action.texts.texts,
        norm=action.norm,
        suffix=action.suffix,
        unconditional_prompt=action.unconditional_prompt,
        constant_tail=context.constant_tail() if action.norm == "pmi" else (),
    )


def context_after_choice(
    client: BackendClient, action: Choose, base: tuple[int, ...], tokens: tuple[int, ...]
) -> PathContext:
    """Return the context after a choice, without its suffix.

    :param client: the model's client.
    :param action: the action.
    :param base: the ids before the choice.
    :param tokens: the decided ids of the choice and its suffix; with EOS, one id for it.
    """
    count, remaining_bytes = len(tokens), b""
    if action.suffix is EOS:
        count -= 1
    elif isinstance(action.suffix, str):
        size = len(client.detokenize(tokens)) - len(action.suffix.encode("utf-8"))
        count, remaining_bytes = split_at_byte(client, tokens, size)
    return PathContext((*base, *tokens[:count])).with_bytes(remaining_bytes)


def ranking_score(action: Choose, score: ChoiceScore | TopChoice) -> float:
    """Return the score that ranks the choices, by the action's norm."""
    return float(getattr(score, SCORE_FIELD_OF_NORM[action.norm]))


def _branch(
    client: BackendClient,
    action: Choose,
    base: tuple[int, ...],
    score: ChoiceScore | TopChoice,
    value: Value,
    unconditional_prompt: str | None,
) -> Branch:
    after = context_after_choice(client, action, base, score.tokens)
    return Branch(
        text=score.choice,
        tokens=score.tokens,
        logprobs=score.token_logprobs,
        rank=ranking_score(action, score),
        prob=score.prob,
        context=after,
        kept_tokens=len(after.ids) - len(base),
        value=value,
        retokenized=bool(after.pending_texts),
        unconditional_prompt=unconditional_prompt,
    )
