"""An automaton prepared for an engine that runs it by itself, in numbers and tokens.

Such an engine knows no text: which tokens a text has depends on what comes before and after it,
and core decides that (docs/semantics.md, "Where the prompt meets a choice"). So the engine asks
core once for each step: an action, reached with the same pending texts. The answer holds for
every path that reaches it so, because settled tokens are never tokenized again.
`autocog_llamacpp` is the first user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.evaluation import pieces_of
from autocog_core.evaluation.path_context import Context, PendingText
from autocog_core.evaluation.text_scoring import ScoringContext
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.tree_choose import after_choice, choice_request
from autocog_core.evaluation.tree_complete import nothing_allowed
from autocog_core.hooks.automaton_run import AutomatonRun, Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.scoring.prompt_encoding import check_sequence, encode
from autocog_core.types.prompt import TextPiece

__all__ = [
    "PreparedAction",
    "PreparedAutomaton",
    "PreparedChoices",
    "PreparedStep",
    "nothing_allowed",
    "pieces_of",
    "prepare_automaton",
    "prepare_step",
]

Mask = NDArray[np.bool_]


@dataclass(slots=True)
class PreparedAction:
    """An action, with its token masks and stop strings.

    :ivar on_mean: whether `threshold` applies to the mean probability of a token.
    :ivar free: bool (V,), tokens that end nothing. `in_set`: those in its token set.
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
    length: int = 0
    beams: int = 1
    length_penalty: float = 1.0
    stops: list[bytes] = field(default_factory=list)
    limited: bool = False
    free: Mask | None = None
    in_set: Mask | None = None
    stop_ids: list[list[int]] = field(default_factory=list)


@dataclass(slots=True)
class PreparedAutomaton:
    """A prepared automaton, and the limits of its run."""

    actions: list[PreparedAction]
    eos: list[int]
    context_length: int | None
    budget: Budget
    best_first: bool
    top: int | None


@dataclass(slots=True)
class PreparedChoices:
    """The tree of a Choose's choices, and how paths go on after each."""

    tokens: list[int]
    parents: list[int]
    path_nodes: list[int]
    path_starts: list[int]
    ends: list[int]
    eos: int
    eos_token: int
    sizes: list[float]
    unconditional: list[int]
    kept_tokens: list[int]
    retokenized_bytes: list[bytes]


@dataclass(slots=True)
class PreparedStep:
    """What an action comes to after certain texts.

    :ivar ids: what comes to the ids that are settled already.
    :ivar room: tokens that the context must have room for after `ids`.
    :ivar settled: (which pending text, where in `ids` it begins, how many tokens, scored or not).
    """

    ids: list[int]
    settled: list[tuple[int, int, int, bool]]
    scored_from: int
    room: int
    choices: PreparedChoices | None = None


def prepare_automaton(run: AutomatonRun) -> PreparedAutomaton:
    """A run as the extension takes it."""
    automaton, info = run.automaton, run.client.info
    places = {action.uid: place for place, action in enumerate(automaton.actions)}
    return PreparedAutomaton(
        [_action(run, action, places) for action in automaton.actions],
        list(info.eos),
        info.context_length,
        run.budget,
        run.best_first,
        run.top,
    )


def _action(run: AutomatonRun, action: Action, places: dict[str, int]) -> PreparedAction:
    made = PreparedAction(
        action.kind, [places[uid] for uid in action.successors], action.max_visits
    )
    if isinstance(action, Choose | Complete):
        made.width = action.width
        made.threshold = action.threshold
        made.on_mean = action.threshold_on == "mean"
    if isinstance(action, Choose):
        made.choices = len(action.choices)
        made.norm = action.norm
    if isinstance(action, Complete):
        made.length = action.length
        made.beams = action.beams
        made.length_penalty = action.length_penalty
        made.stops = [stop.encode("utf-8") for stop in action.stop]
        allowed = AllowedTokens.of(
            run.automaton, run.client, action, TokenMaskCache.of_model(run.client)
        )
        made.limited, made.free = allowed.limited, allowed.free
        made.in_set = allowed.allowed if allowed.limited else None
        made.stop_ids = [list(ids) for ids in allowed.stops]
    return made


def prepare_step(
    run: AutomatonRun,
    number: int,
    ids: Sequence[int],
    pending: Sequence[tuple[int, bytes, int]],
) -> PreparedStep:
    """What an action comes to; the end of a path is action -1.

    :param ids: what is settled. `pending`: (text action or -1, bytes if -1, node) of each text.
    :raises InputError: as core does, where it cannot be tokenized or does not fit.
    """
    client = run.client
    actions = run.automaton.actions
    texts = tuple(_pending(actions, *one) for one in pending)
    context = Context(tuple(ids), texts)
    action = actions[number] if number >= 0 else None
    choices = None
    if isinstance(action, Choose):
        request = choice_request(action, context.prompt())
        tree = TokenChoiceTree.build(client, request)
        base: Sequence[int] = tree.encoded.base
        room = max(map(len, tree.encoded.decided))
        choices = _choices(client, action, tree)
    else:
        room = action.length if isinstance(action, Complete) else 0
        base = encode(client, context.prompt())
        check_sequence(base, client.info, beyond=room)
    ground = ScoringContext(client, context, base)
    start = len(context.ids)
    settled = [
        (place, text.start - start, len(text.tokens), text.evaluate)
        for place, text in enumerate(ground.texts)
    ]
    return PreparedStep(list(base[start:]), settled, ground.first - start, room, choices)


def _pending(actions: Sequence[Action], number: int, rest: bytes, node: int) -> PendingText:
    if number < 0:
        return PendingText((TextPiece(rest.decode("utf-8", errors="replace")),))
    action = actions[number]
    assert isinstance(action, Text)
    return PendingText(pieces_of(action.text), node, action.evaluate)


def _choices(client: BackendClient, action: Choose, tree: TokenChoiceTree) -> PreparedChoices:
    conditional = tree.queries()[0]
    suffix = tree.eos[:1]
    decided = tree.encoded.decided
    kept_tokens, retokenized_bytes = [len(tokens) for tokens in decided], [b""] * len(decided)
    if isinstance(action.suffix, str):
        after = [after_choice(client, action, (), tokens) for tokens in decided]
        kept_tokens = [len(context.ids) for context in after]
        retokenized_bytes = [
            "".join(one.text for one in each.pending).encode("utf-8") for each in after
        ]
    return PreparedChoices(
        conditional.tokens.tolist(),
        conditional.parents.tolist(),
        tree.tree.path_nodes.tolist(),
        tree.tree.path_starts.tolist(),
        tree.tree.ends.tolist(),
        len(tree.eos),
        suffix[0] if suffix else -1,
        tree.sizes(client).tolist() if action.norm == "per_byte" else [1.0] * len(decided),
        list(tree.unconditional or ()),
        kept_tokens,
        retokenized_bytes,
    )
