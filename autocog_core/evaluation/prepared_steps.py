"""Automata prepared for an engine that runs them: numbers and tokens instead of text.

The engine has no tokenizer: core determines the tokens of a text (docs/semantics.md, "Where the
prompt meets a choice"). So the engine requests each *step* once: an action after the same pending
texts. All paths that reach the action in this way share the step, because tokens before the
pending texts never change. The first user is `autocog_llamacpp`, whose C++ code reads these
records by the names of their fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.evaluation.text_chain import pending_text, text_pieces
from autocog_core.evaluation.text_scoring import ScoringContext
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.tree_choose import choice_request, context_after_choice
from autocog_core.evaluation.tree_complete import no_token_allowed_error
from autocog_core.hooks.automaton_run import AutomatonRun, Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.scoring.leaf_order import LeafOrder, leaf_order
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.scoring.unconditional_scores import UnconditionalScorer
from autocog_core.types.prompt import TextPiece

__all__ = [
    "PreparedAction",
    "PreparedAutomaton",
    "PreparedChoices",
    "PreparedStep",
    "no_token_allowed_error",
    "prepare_automaton",
    "prepare_step",
    "text_pieces",
]

Mask = NDArray[np.bool_]


@dataclass(kw_only=True, slots=True)
class PreparedAction:
    """An action, with its token masks and stop strings.

    :ivar kind: "text", "choose" or "complete".
    :ivar successors: indices of its successors in `PreparedAutomaton.actions`.
    :ivar max_visits: maximum number of visits of a path; None for no limit.
    :ivar width: maximum number of branches to follow; None for no limit.
    :ivar threshold: minimum probability of a branch to follow.
    :ivar on_mean: whether `threshold` applies to the mean probability of a branch's tokens.
    :ivar choices: the number of choices.
    :ivar norm: the norm of the choices.
    :ivar top: the number of the best choices, which a part of their tree proves; None for all.
    :ivar length: maximum number of tokens of a completion.
    :ivar beams: number of beams.
    :ivar length_penalty: exponent of the length in the score of a beam.
    :ivar stops: the bytes of each stop string.
    :ivar is_constrained: whether there is a token set.
    :ivar unmasked: bool (V,), the tokens allowed outside a stop string; None for all.
    :ivar in_set: bool (V,), the tokens of the token set; None without one.
    :ivar stop_ids: the tokens of each stop string.
    """

    kind: str
    successors: list[int]
    max_visits: int | None
    width: int | None = None
    threshold: float = 0.0
    on_mean: bool = False
    choices: int = 0
    norm: str = "sum"
    top: int | None = None
    length: int = 0
    beams: int = 1
    length_penalty: float = 1.0
    stops: list[bytes] = field(default_factory=list)
    is_constrained: bool = False
    unmasked: Mask | None = None
    in_set: Mask | None = None
    stop_ids: list[list[int]] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class PreparedAutomaton:
    """A prepared automaton, and the limits of its run.

    :ivar actions: the actions; the first one is the entry.
    :ivar eos: ids that end a sequence.
    :ivar context_length: maximum number of tokens in a sequence; None for no limit.
    :ivar budget: the limits of the run.
    :ivar best_first: whether the likeliest path advances first, one at a time.
    :ivar top: number of complete paths to prove as the best; None evaluates all paths.
    :ivar nodes_per_step: number of nodes that one step of a search for the best choices reads.
    """

    actions: list[PreparedAction]
    eos: list[int]
    context_length: int | None
    budget: Budget
    best_first: bool
    top: int | None
    nodes_per_step: int = 1


@dataclass(kw_only=True, slots=True)
class PreparedChoices:
    """The token tree of a Choose, and how paths continue after each choice.

    :ivar tokens: the token of each node, with the nodes of EOS at the end.
    :ivar parents: index of each node's parent; -1 is the prefix.
    :ivar path_nodes: the nodes of all choices, concatenated.
    :ivar path_starts: start of each choice in `path_nodes`, and the end of the last one.
    :ivar ends: the last node of each choice.
    :ivar eos: the number of EOS nodes after each choice; 0 without `suffix=EOS`.
    :ivar eos_token: the id that a branch has for EOS; -1 without `suffix=EOS`.
    :ivar byte_lengths: the bytes of each choice, if the norm needs them; otherwise 1.
    :ivar unconditional: ids that the norm "pmi" conditions on; empty for other norms.
    :ivar kept_tokens: the number of tokens of each choice that stay in the context.
    :ivar retokenized_bytes: the bytes after them, which are tokenized again with the next text.
    :ivar order: the order of the choices, if only the best ones are wanted; otherwise None.
    :ivar unconditional_logprobs: for the norm "pmi", if only the best ones are wanted: their
        log-probabilities after the unconditional prompt. Then `unconditional` is empty.
    """

    tokens: list[int]
    parents: list[int]
    path_nodes: list[int]
    path_starts: list[int]
    ends: list[int]
    eos: int
    eos_token: int
    byte_lengths: list[float]
    unconditional: list[int]
    kept_tokens: list[int]
    retokenized_bytes: list[bytes]
    order: LeafOrder | None = None
    unconditional_logprobs: list[float] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class PreparedStep:
    """An action after certain pending texts.

    :ivar ids: the tokens of the pending texts, up to the action's first decided token.
    :ivar settled: for each pending text: its index, the index in `ids` of its first token, its
        number of tokens, and whether they are scored.
    :ivar scored_from: index in `ids` of the first token to score.
    :ivar room: maximum number of tokens after `ids`, which must fit the context.
    :ivar choices: the choices of a Choose; None for other actions.
    """

    ids: list[int]
    settled: list[tuple[int, int, int, bool]]
    scored_from: int
    room: int
    choices: PreparedChoices | None = None


def prepare_automaton(run: AutomatonRun) -> PreparedAutomaton:
    """Prepare the automaton of a run."""
    info, actions = run.client.info, run.automaton.actions
    indices = {action.uid: index for index, action in enumerate(actions)}
    return PreparedAutomaton(
        actions=[_prepare_action(run, action, indices) for action in actions],
        eos=list(info.eos),
        context_length=info.context_length,
        budget=run.budget,
        best_first=run.best_first,
        top=run.top,
        nodes_per_step=info.nodes_per_step,
    )


def _prepare_action(run: AutomatonRun, action: Action, indices: dict[str, int]) -> PreparedAction:
    prepared = PreparedAction(
        kind=action.kind,
        successors=[indices[uid] for uid in action.successors],
        max_visits=action.max_visits,
    )
    if isinstance(action, Choose | Complete):
        prepared.width = action.width
        prepared.threshold = action.threshold
        prepared.on_mean = action.threshold_on == "mean"
    if isinstance(action, Choose):
        prepared.choices = len(action.choices)
        prepared.norm = action.norm
        prepared.top = action.top
    if isinstance(action, Complete):
        prepared.length = action.length
        prepared.beams = action.beams
        prepared.length_penalty = action.length_penalty
        prepared.stops = [stop.encode("utf-8") for stop in action.stop]
        masks = TokenMaskCache.for_model(run.client)
        allowed = AllowedTokens.for_action(run.automaton, run.client, action, masks)
        prepared.is_constrained, prepared.unmasked = allowed.is_constrained, allowed.unmasked
        prepared.in_set = allowed.in_set if allowed.is_constrained else None
        prepared.stop_ids = [list(ids) for ids in allowed.stops]
    return prepared


def prepare_step(
    run: AutomatonRun,
    action_index: int,
    ids: Sequence[int],
    pending: Sequence[tuple[int, bytes, int]],
) -> PreparedStep:
    """Prepare an action after certain pending texts.

    :param run: the run.
    :param action_index: index of the action; -1 for the end of a path.
    :param ids: the ids before the pending texts.
    :param pending: for each pending text: the index of its Text action or -1, its bytes if the
        index is -1, and its node.
    :raises InputError: if core could not tokenize the texts.
    :raises ContextOverflowError: if they do not fit the context.
    """
    client = run.client
    actions = run.automaton.actions
    context = PathContext(tuple(ids), tuple(_pending_text(actions, *text) for text in pending))
    action = actions[action_index] if action_index >= 0 else None
    choices = None
    if isinstance(action, Choose):
        tree = TokenChoiceTree.build(client, choice_request(action, context))
        base: Sequence[int] = tree.encoded.shared_ids
        room = max(map(len, tree.encoded.choice_ids))
        choices = _prepare_choices(client, action, tree)
    else:
        room = action.length if isinstance(action, Complete) else 0
        base = ()
        if action is not None or not context.is_empty:
            base = encode_prompt(client, context.prompt())
            check_sequence(base, client.info, new_tokens=room)
    scoring = ScoringContext(client, context, base)
    start = len(context.ids)
    return PreparedStep(
        ids=list(base[start:]),
        settled=[
            (index, text.start - start, len(text.tokens), text.evaluate)
            for index, text in enumerate(scoring.texts)
        ],
        scored_from=scoring.first_scored - start,
        room=room,
        choices=choices,
    )


def _pending_text(
    actions: Sequence[Action], action_index: int, raw: bytes, node: int
) -> PendingText:
    if action_index < 0:
        return PendingText((TextPiece(raw.decode("utf-8", errors="replace")),))
    action = actions[action_index]
    assert isinstance(action, Text)
    return pending_text(action, node)


def _prepare_choices(
    client: BackendClient, action: Choose, tree: TokenChoiceTree
) -> PreparedChoices:
    query = tree.to_queries()[0]
    choice_ids = tree.encoded.choice_ids
    kept_tokens, retokenized_bytes = [len(ids) for ids in choice_ids], [b""] * len(choice_ids)
    if isinstance(action.suffix, str):
        contexts = [context_after_choice(client, action, (), ids) for ids in choice_ids]
        kept_tokens = [len(context.ids) for context in contexts]
        retokenized_bytes = [
            "".join(text.text for text in context.pending_texts).encode("utf-8")
            for context in contexts
        ]
    per_byte = action.norm == "per_byte"
    order, unconditional, unconditional_logprobs = None, tree.unconditional_ids, []
    if action.top is not None:
        order = leaf_order(tree.tree)
        if action.norm == "pmi":
            # A search needs all of them before it begins, and other calls need the same.
            scorer = UnconditionalScorer.for_model(client)
            unconditional, unconditional_logprobs = None, scorer.logprobs(tree).tolist()
    return PreparedChoices(
        tokens=query.tokens.tolist(),
        parents=query.parents.tolist(),
        path_nodes=tree.tree.path_nodes.tolist(),
        path_starts=tree.tree.path_starts.tolist(),
        ends=tree.tree.ends.tolist(),
        eos=len(tree.eos),
        eos_token=tree.eos[0] if tree.eos else -1,
        byte_lengths=(tree.byte_lengths(client).tolist() if per_byte else [1.0] * len(choice_ids)),
        unconditional=list(unconditional or ()),
        kept_tokens=kept_tokens,
        retokenized_bytes=retokenized_bytes,
        order=order,
        unconditional_logprobs=unconditional_logprobs,
    )
