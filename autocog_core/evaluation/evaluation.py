"""Running an automaton: a frontier of live paths, and one call of the engine for all of them.

Each path at a Choose or Complete is a generator that asks its model for something. What all of them
ask is sent together, so that branches share what they have in common; then each goes on.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.branch import Answer, Asked, Outcome, Steps, pruned, tokens_evaluated
from autocog_core.evaluation.path_context import Context, PendingText
from autocog_core.evaluation.text_scoring import finish_path
from autocog_core.evaluation.text_strategy import (
    choose_by_text,
    complete_by_text,
    finish_by_text,
)
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.tree_builder import TreeBuilder, unique_tokens
from autocog_core.evaluation.tree_choose import choose_steps
from autocog_core.evaluation.tree_complete import complete_steps
from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
from autocog_core.hooks.client import BackendClient
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.token_tree import TreeScores

#: "breadth_first": all paths together. "best_first": the likeliest first, one at a time.
Order = Literal["breadth_first", "best_first"]
#: "token_tree": exact, by token trees. "text": by the backend's own `complete` and `choose`.
Strategy = Literal["token_tree", "text"]


@dataclass(slots=True)
class _Live:
    """A path that goes on.

    :ivar node: the tree's node that it has come to. `action`: what is next; None at its end.
    :ivar contexts: what each model has seen. `asked`: what it needs next.
    """

    node: int
    action: Action | None
    contexts: Mapping[str | None, Context]
    visits: Mapping[str, int]
    logprob: float = 0.0
    steps: Steps | None = None
    asked: Sequence[Asked] = ()


class Evaluation:
    """One run of an automaton: tells what it asks of its models, and is told the answers.

    :param automaton: sound, and without templates.
    :param callers: the models by name; None is the main one.
    :param strategies: how each of them is asked.
    :param top: with the order "best_first": stop once this many complete paths are proven the best.
    :param header: of the tree.
    """

    def __init__(
        self,
        automaton: AutomatonGraph,
        clients: Mapping[str | None, BackendClient],
        strategies: Mapping[str | None, Strategy],
        *,
        budget: Budget | None = None,
        order: Order = "breadth_first",
        top: int | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> None:
        self.clients = clients
        self._automaton = automaton
        self._strategies = strategies
        self._budget = budget or Budget()
        self._order = order
        self._top = top
        self._header = header or {}
        self._draft = TreeBuilder()
        self._working: list[_Live] = []
        self._waiting: deque[_Live] = deque()
        self._heap: list[tuple[float, int, _Live]] = []
        self._pushed = 0
        self._masks = {name: TokenMaskCache.of_model(client) for name, client in clients.items()}
        self._allowed: dict[str, AllowedTokens] = {}
        self._stopped: str | None = None
        self._calls = 0
        self._evaluated = 0
        self._seconds = 0.0
        self._begun = time.perf_counter()
        contexts = {
            name: Context(said=() if strategies[name] == "text" else None) for name in clients
        }
        self._push(_Live(-1, automaton.entry, contexts, {}))

    def whole(self) -> AutomatonRun | None:
        """It as an engine may take it over; None if exact scores of one engine are not enough."""
        if self.clients.keys() != {None} or self._strategies[None] != "token_tree":
            return None
        return AutomatonRun(
            self._automaton,
            self.clients[None],
            self._budget,
            self._order == "best_first",
            self._top,
            self._header,
        )

    def say(self, declined: Declined) -> None:
        """Tell in the tree why no engine has taken it over."""
        self._header = {**self._header, "evaluator": f"core: {declined.reason}"}

    def ask(self) -> dict[str | None, list[Asked]]:
        """What its paths need next of each model; nothing when it has come to its end."""
        while self._working or self._waiting or self._heap:
            seconds = time.perf_counter() - self._begun
            self._stopped = self._budget.exceeded(self._evaluated, self._pushed, seconds)
            if self._stopped is not None:
                open_ = [*self._working, *self._waiting, *(entry[2] for entry in self._heap)]
                self._draft.prune((live.node for live in open_), "budget")
                break
            if self._proven():
                break
            self._working += self._next()
            asked: dict[str | None, list[Asked]] = {}
            for live in self._working:
                asked.setdefault(_model_of(live), []).extend(live.asked)
            if asked:
                return asked
        return {}

    def take(self, model: str | None, answers: Sequence[Answer], seconds: float) -> None:
        """What a model has answered, in the order of what it was asked.

        :param seconds: how long it took.
        """
        # Token trees go together in one call, everything else by itself.
        trees = sum(isinstance(answer, TreeScores) for answer in answers)
        self._calls += len(answers) - trees + (trees > 0)
        self._seconds += seconds
        given = iter(answers)
        for live in [live for live in self._working if _model_of(live) == model]:
            mine = [next(given) for _ in live.asked]
            self._evaluated += sum(map(tokens_evaluated, mine))
            self._resume(live, mine)
        self._working = [live for live in self._working if live.steps is not None]

    def tree(self) -> ThoughtTree:
        """The result."""
        total = time.perf_counter() - self._begun
        nodes = self._draft.nodes
        stats = {
            "model_calls": self._calls,
            "tokens_evaluated": self._evaluated,
            "unique_tokens": unique_tokens(nodes),
            "seconds_model": self._seconds,
            "seconds_other": total - self._seconds,
        }
        return ThoughtTree(tuple(nodes), self._stopped, self._header, stats)

    def _push(self, live: _Live) -> None:
        self._pushed += 1
        if self._order == "best_first":
            heapq.heappush(self._heap, (-live.logprob, self._pushed, live))
        else:
            self._waiting.append(live)

    def _next(self) -> list[_Live]:
        """Paths set to work: all, or the likeliest if none is at work."""
        found: list[_Live] = []
        if self._order == "breadth_first":
            found += self._waiting
            self._waiting.clear()
        elif not self._working and self._heap:
            found.append(heapq.heappop(self._heap)[2])
        for live in found:
            self._start(live)
        return [live for live in found if live.steps is not None]

    def _proven(self) -> bool:
        """Whether no open path can come among the best any more: none gains by going on."""
        complete = self._draft.complete
        if self._top is None or self._order != "best_first" or len(complete) < self._top:
            return False
        least = sorted(complete, reverse=True)[self._top - 1]
        open_ = [live.logprob for live in self._working] + [-entry[0] for entry in self._heap[:1]]
        return all(logprob <= least for logprob in open_)

    def _start(self, live: _Live) -> None:
        """Go through texts, which need no model, to the next action that does; set it to work."""
        if isinstance(live.action, Text):
            self._say(live, live.action)
        action = live.action
        model = _model_of(live)
        client = self.clients[model]
        context = live.contexts[model]
        asking = self._strategies[model] == "text"
        match action:
            case Choose():
                steps = choose_by_text if asking else choose_steps
                live.steps = steps(client, action, context)
            case Complete() if asking:
                live.steps = complete_by_text(client, action, context)
            case Complete():
                live.steps = complete_steps(client, action, context, self._tokens_of(action))
            case _:
                live.steps = (finish_by_text if asking else finish_path)(client, context)
        self._resume(live, None)

    def _say(self, live: _Live, action: Text) -> None:
        """Enter a chain of texts into the tree and into what every model has seen."""
        chain: list[Text] = []
        following: Action | None = action
        bounded = False
        while isinstance(following, Text):
            chain.append(following)
            live.visits = _visited(live.visits, following)
            following = self._automaton.successor(following)
            if following is not None and _exhausted(live.visits, following):
                bounded, following = True, None
        live.action = following
        # Whoever goes on from the texts gives them their tokens.
        reader = _model_of(live)
        said: list[PendingText] = []
        for one in chain:
            pieces = pieces_of(one.text)
            text = "".join(piece.text for piece in pieces)
            live.node = self._draft.add_text(live.node, one, text, live.logprob, reader)
            said.append(PendingText(pieces, live.node, one.evaluate))
        if bounded:
            self._draft.prune([live.node], "max_visits")
        live.contexts = {
            name: context.plus(
                *(said if name == reader else (PendingText(text.pieces) for text in said))
            )
            for name, context in live.contexts.items()
        }

    def _tokens_of(self, action: Complete) -> AllowedTokens:
        if action.uid not in self._allowed:
            client, masks = self.clients[action.model], self._masks[action.model]
            self._allowed[action.uid] = AllowedTokens.of(self._automaton, client, action, masks)
        return self._allowed[action.uid]

    def _resume(self, live: _Live, answers: Sequence[Answer] | None) -> None:
        """Let a path go on with the answers to what it has asked."""
        assert live.steps is not None
        try:
            live.asked = next(live.steps) if answers is None else live.steps.send(answers)
        except StopIteration as end:
            live.steps = None
            live.asked = ()
            self._finish(live, end.value)

    def _finish(self, live: _Live, outcome: Outcome) -> None:
        """Enter what an action came to, and go on from the branches that are followed."""
        draft = self._draft
        live.logprob += draft.settle(outcome.texts, outcome.reason)
        action = live.action
        if action is None:
            draft.end(live.node)
            return
        assert isinstance(action, Choose | Complete)
        visits = _visited(live.visits, action)
        followers = [
            self._automaton.successor(action, number) for number in range(len(outcome.branches))
        ]
        marked = [
            replace(branch, pruned="max_visits")
            if branch.pruned is None
            and following is not None
            and len(action.successors) > 1
            and _exhausted(visits, following)
            else branch
            for branch, following in zip(outcome.branches, followers, strict=True)
        ]
        for branch, following in zip(pruned(action, marked), followers, strict=True):
            node = draft.add_branch(live.node, action, branch, live.logprob)
            if branch.pruned is not None:
                continue
            if following is None:
                draft.end(node)
            elif _exhausted(visits, following):
                draft.prune([node], "max_visits")
            else:
                contexts = {
                    name: branch.context
                    if name == action.model
                    else context.plus(PendingText((TextPiece(branch.text),)))
                    for name, context in live.contexts.items()
                }
                logprob = draft.nodes[node].path_logprob
                self._push(_Live(node, following, contexts, visits, logprob))


def check_models(automaton: AutomatonGraph, names: Mapping[str | None, object]) -> None:
    """Refuse to run without a model that an action names.

    :raises InputError: naming all that are missing.
    """
    unknown = {action.model for action in automaton.actions} - names.keys()
    if unknown:
        raise InputError(
            "no model is given for " + ", ".join(sorted(map(repr, unknown))),
            where="models",
            hint="give models={name: model}",
        )


def _model_of(live: _Live) -> str | None:
    return live.action.model if live.action is not None else None


def pieces_of(text: object) -> tuple[TextPiece, ...]:
    """A text action's text, in pieces."""
    if isinstance(text, Prompt):
        return tuple(piece for piece in text.pieces if isinstance(piece, TextPiece))
    return (TextPiece(str(text)),)


def _visited(visits: Mapping[str, int], action: Action) -> Mapping[str, int]:
    if action.max_visits is None:
        return visits
    return {**visits, action.uid: visits.get(action.uid, 0) + 1}


def _exhausted(visits: Mapping[str, int], action: Action) -> bool:
    return action.max_visits is not None and visits.get(action.uid, 0) >= action.max_visits
