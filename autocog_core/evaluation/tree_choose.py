"""A Choose at work: one token choice tree."""

from __future__ import annotations

from autocog_core.automaton.actions import Choose
from autocog_core.evaluation.branch import Branch, Outcome, Steps
from autocog_core.evaluation.path_context import Context, PendingText, split_tokens
from autocog_core.evaluation.text_scoring import ScoringContext
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.types.choice import EOS, SCORE_FIELD_OF_NORM, ChoiceRequest, ChoiceScore
from autocog_core.types.prompt import Prompt, TextPiece


def choose_steps(client: BackendClient, action: Choose, context: Context) -> Steps:
    """Score the choices of an action after `context`."""
    request = choice_request(action, context.prompt())
    tree = TokenChoiceTree.build(client, request)
    ground = ScoringContext(client, context, tree.encoded.base)
    first, *others = tree.queries()
    answers = yield [ground.query(first), *others]
    own, texts = ground.read(answers[0])
    result = tree.score(client, request, [own, *answers[1:]])
    branches = tuple(_branch(client, action, ground.base, score) for score in result.scores)
    return Outcome(branches, texts)


def choice_request(action: Choose, prompt: Prompt) -> ChoiceRequest:
    """An action's choices after a prompt."""
    return ChoiceRequest(
        prompt,
        tuple(str(choice) for choice in action.choices),
        action.norm,
        action.suffix,
        unconditional_prompt=action.unconditional_prompt,
    )


def after_choice(
    client: BackendClient, action: Choose, base: tuple[int, ...], tokens: tuple[int, ...]
) -> Context:
    """What comes after a choice: without the `end` that had to follow."""
    kept, rest = len(tokens), b""
    if action.suffix is EOS:
        kept -= 1
    elif isinstance(action.suffix, str):
        size = len(client.detokenize(tokens)) - len(action.suffix.encode("utf-8"))
        kept, rest = split_tokens(client, tokens, size)
    after = Context((*base, *tokens[:kept]))
    if rest:
        after = after.plus(PendingText((TextPiece(rest.decode("utf-8", errors="replace")),)))
    return after


def rank_of(action: Choose, score: ChoiceScore) -> float:
    """What choices are ordered by."""
    return float(getattr(score, SCORE_FIELD_OF_NORM[action.norm]))


def _branch(
    client: BackendClient, action: Choose, base: tuple[int, ...], score: ChoiceScore
) -> Branch:
    after = after_choice(client, action, base, score.tokens)
    return Branch(
        score.choice,
        score.tokens,
        score.token_logprobs,
        rank_of(action, score),
        score.prob,
        after,
        retokenized=bool(after.pending),
    )
