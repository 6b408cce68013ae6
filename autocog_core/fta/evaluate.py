"""Running an automaton: a frontier of live paths, and one call of the engine for all of them.

Each path at a Choose or Complete is a generator that asks for token trees. What all of them ask is
sent together, so that branches share what they have in common; then each goes on.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autocog_core.caller import Caller
from autocog_core.errors import InputError
from autocog_core.fta.actions import Action, Choose, Complete, Text
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.branch import Branch, Outcome, Steps, pruned
from autocog_core.fta.budget import Budget
from autocog_core.fta.choosing import choose_steps
from autocog_core.fta.completing import complete_steps
from autocog_core.fta.context import Context, PendingText
from autocog_core.fta.scoring import settle_end
from autocog_core.fta.stop_tokens import AllowedTokens
from autocog_core.fta.vocabularies import Masks, Vocabulary
from autocog_core.ftt import ThoughtNode, ThoughtTree
from autocog_core.pieces import Prompt, TextPiece
from autocog_core.types import TreeQuery, TreeScores

#: "breadth": all paths together. "best": the likeliest first, one at a time.
Order = Literal["breadth", "best"]


@dataclass(slots=True)
class _Live:
    """A path that goes on.

    :ivar node: the tree's node that it has come to. `action`: what is next; None at its end.
    :ivar contexts: what each model has seen.
    """

    node: int
    action: Action | None
    contexts: Mapping[str | None, Context]
    visits: Mapping[str, int]
    logprob: float = 0.0
    steps: Steps | None = None
    queries: list[TreeQuery] = field(default_factory=list)


class Evaluation:
    """One run of an automaton.

    :param callers: the models by name; None is the main one.
    :param top: with the order "best": stop once this many complete paths are proven the best.
    """

    def __init__(
        self,
        automaton: Automaton,
        callers: Mapping[str | None, Caller],
        *,
        budget: Budget | None = None,
        order: Order = "breadth",
        top: int | None = None,
    ) -> None:
        automaton.require_sound()
        unknown = {action.model for action in automaton.actions} - callers.keys()
        if unknown:
            raise InputError(
                "no model is given for " + ", ".join(sorted(map(repr, unknown))),
                where="models",
                hint="give models={name: model}",
            )
        self._automaton = automaton
        self._callers = callers
        self._budget = budget or Budget()
        self._order = order
        self._top = top
        self._nodes: list[ThoughtNode] = []
        self._waiting: deque[_Live] = deque()
        self._heap: list[tuple[float, int, _Live]] = []
        self._pushed = 0
        self._complete: list[float] = []
        self._masks = {name: Masks(caller) for name, caller in callers.items()}
        self._allowed: dict[str, AllowedTokens] = {}
        self._readers: dict[str, str | None] = {}
        self._calls = 0
        self._evaluated = 0
        self._seconds = 0.0

    def run(self) -> ThoughtTree:
        """Evaluate all paths, or as many as the budget allows."""
        begun = time.perf_counter()
        contexts = {name: Context() for name in self._callers}
        self._push(_Live(-1, self._automaton.entry, contexts, {}))
        stopped = None
        working: list[_Live] = []
        while working or self._waiting or self._heap:
            stopped = self._budget.exceeded(
                self._evaluated, self._pushed, time.perf_counter() - begun
            )
            if stopped is not None or self._proven(working):
                break
            working += self._next(working)
            self._ask(working)
            working = [live for live in working if live.steps is not None]
        if stopped is not None:
            self._mark_open(working)
        total = time.perf_counter() - begun
        stats = {
            "model_calls": self._calls,
            "tokens_evaluated": self._evaluated,
            "seconds_model": self._seconds,
            "seconds_other": total - self._seconds,
        }
        return ThoughtTree(tuple(self._nodes), stopped, {}, stats)

    def _push(self, live: _Live) -> None:
        self._pushed += 1
        if self._order == "best":
            heapq.heappush(self._heap, (-live.logprob, self._pushed, live))
        else:
            self._waiting.append(live)

    def _next(self, working: Sequence[_Live]) -> list[_Live]:
        """Paths to set to work: all, or the likeliest if none is at work."""
        found = []
        if self._order == "breadth":
            while self._waiting:
                found.append(self._waiting.popleft())
        elif not working and self._heap:
            found.append(heapq.heappop(self._heap)[2])
        started = []
        for live in found:
            self._start(live)
            if live.steps is not None:
                started.append(live)
        return started

    def _proven(self, working: Sequence[_Live]) -> bool:
        """Whether no open path can come among the best any more: none gains by going on."""
        if self._top is None or self._order != "best" or len(self._complete) < self._top:
            return False
        least = sorted(self._complete, reverse=True)[self._top - 1]
        open_ = [live.logprob for live in working] + [-entry[0] for entry in self._heap[:1]]
        return all(logprob <= least for logprob in open_)

    def _start(self, live: _Live) -> None:
        """Go through texts, which need no model, to the next action that does; set it to work."""
        while isinstance(live.action, Text):
            self._say(live, live.action)
        action = live.action
        caller = self._callers[action.model if action is not None else None]
        context = live.contexts[action.model if action is not None else None]
        match action:
            case Choose():
                live.steps = choose_steps(caller, action, context)
            case Complete():
                live.steps = complete_steps(caller, action, context, self._tokens_of(action))
            case _:
                live.steps = settle_end(caller, context)
        self._resume(live, None)

    def _say(self, live: _Live, action: Text) -> None:
        """Enter a text into the tree and into what every model has seen."""
        pieces = _pieces(action.text)
        text = "".join(piece.text for piece in pieces)
        live.visits = _visited(live.visits, action)
        live.node = self._add(
            ThoughtNode(
                action.uid,
                text,
                logprob=live.logprob,
                length=self._length(live.node),
                name=action.name,
                model=action.model,
                parent=live.node,
            )
        )
        following = self._automaton.successor(action)
        if following is not None and _exhausted(live.visits, following):
            self._nodes[live.node] = replace(self._nodes[live.node], pruned="max_visits")
            following = None
        live.action = following
        reader = self._reader(following)
        live.contexts = {
            name: context.plus(
                PendingText(pieces, live.node, action.evaluate)
                if name == reader
                else PendingText(pieces)
            )
            for name, context in live.contexts.items()
        }

    def _reader(self, action: Action | None) -> str | None:
        """The model that settles a text before `action`: that of the next action with a model."""
        passed = []
        while isinstance(action, Text) and action.uid not in self._readers:
            passed.append(action.uid)
            action = self._automaton.successor(action)
        if isinstance(action, Text):
            model = self._readers[action.uid]
        else:
            model = action.model if action is not None else None
        self._readers |= dict.fromkeys(passed, model)
        return model

    def _tokens_of(self, action: Complete) -> AllowedTokens:
        if action.uid not in self._allowed:
            caller, masks = self._callers[action.model], self._masks[action.model]
            vocab = action.vocab
            allowed: Vocabulary | None = (
                self._automaton.vocabs[vocab] if isinstance(vocab, str) else vocab
            )
            self._allowed[action.uid] = AllowedTokens(caller, action, allowed, masks)
        return self._allowed[action.uid]

    def _ask(self, working: Sequence[_Live]) -> None:
        """Send what all paths ask for to their models, one call a model, and let them go on."""
        for name, caller in self._callers.items():
            asking = [
                live
                for live in working
                if live.queries and (live.action.model if live.action else None) == name
            ]
            if not asking:
                continue
            begun = time.perf_counter()
            answers = iter(caller.greedy_tree([q for live in asking for q in live.queries]))
            self._seconds += time.perf_counter() - begun
            self._calls += 1
            for live in asking:
                mine = [next(answers) for _ in live.queries]
                self._evaluated += sum(answer.evaluated for answer in mine)
                self._resume(live, mine)

    def _resume(self, live: _Live, answers: Sequence[TreeScores] | None) -> None:
        """Let a path go on with the answers to what it has asked."""
        assert live.steps is not None
        try:
            live.queries = next(live.steps) if answers is None else live.steps.send(answers)
        except StopIteration as end:
            live.steps = None
            live.queries = []
            self._finish(live, end.value)

    def _finish(self, live: _Live, outcome: Outcome) -> None:
        """Enter what an action came to, and go on from the branches that are followed."""
        self._settle_texts(live, outcome)
        action = live.action
        if action is None:
            self._end(live.node)
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
            node = self._add_branch(live, action, branch)
            if branch.pruned is not None:
                continue
            if following is not None and _exhausted(visits, following):
                self._nodes[node] = replace(self._nodes[node], pruned="max_visits")
                continue
            if following is None:
                self._end(node)
                continue
            contexts = {
                name: branch.context
                if name == action.model
                else context.plus(PendingText((TextPiece(branch.text),)))
                for name, context in live.contexts.items()
            }
            logprob = self._nodes[node].logprob
            self._push(_Live(node, following, contexts, visits, logprob))

    def _settle_texts(self, live: _Live, outcome: Outcome) -> None:
        """Give texts before an action the tokens that it has settled, and their scores."""
        added = 0.0
        count = 0
        for text, logprobs in outcome.texts:
            if text.node < 0:
                continue
            added += sum(logprobs)
            count += len(logprobs)
            node = self._nodes[text.node]
            self._nodes[text.node] = replace(
                node,
                tokens=text.tokens,
                logprobs=logprobs,
                logprob=node.logprob + added,
                length=node.length + count,
            )
        live.logprob += added

    def _add_branch(self, live: _Live, action: Choose | Complete, branch: Branch) -> int:
        return self._add(
            ThoughtNode(
                action.uid,
                branch.text,
                branch.tokens,
                branch.logprobs,
                live.logprob + branch.logprob,
                self._length(live.node) + len(branch.logprobs),
                branch.prob,
                branch.pruned,
                branch.finish,
                retokenized=branch.retokenized,
                name=action.name,
                model=action.model,
                parent=live.node,
            )
        )

    def _add(self, node: ThoughtNode) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _length(self, node: int) -> int:
        return self._nodes[node].length if node >= 0 else 0

    def _end(self, node: int) -> None:
        found = self._nodes[node]
        if found.pruned is None:
            self._nodes[node] = replace(found, last=True)
            self._complete.append(found.logprob)

    def _mark_open(self, working: Sequence[_Live]) -> None:
        """Mark where paths stopped for want of budget."""
        open_ = [*working, *self._waiting, *(entry[2] for entry in self._heap)]
        for live in open_:
            if live.node >= 0 and self._nodes[live.node].pruned is None:
                self._nodes[live.node] = replace(self._nodes[live.node], pruned="budget")


def _pieces(text: str | Prompt) -> tuple[TextPiece, ...]:
    if isinstance(text, str):
        return (TextPiece(text),)
    return tuple(piece for piece in text.pieces if isinstance(piece, TextPiece))


def _visited(visits: Mapping[str, int], action: Action) -> Mapping[str, int]:
    if action.max_visits is None:
        return visits
    return {**visits, action.uid: visits.get(action.uid, 0) + 1}


def _exhausted(visits: Mapping[str, int], action: Action) -> bool:
    return action.max_visits is not None and visits.get(action.uid, 0) >= action.max_visits
