"""A slow reference evaluator: each path separately, with one row for each token.

It follows what docs/semantics.md and the design say, and shares no code with the evaluator.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autocog_core import EOS, Automaton, Choose, Complete, Model, Text
from autocog_core.automaton import Action
from autocog_core.types.prompt import Prompt, TextPiece
from tests.support import reference_scores as reference
from tests.support.automata.reading import Ids, Piece, Reader, RefusedError, Step
from tests.support.automata.searching import Search


class NotComparableError(Exception):
    """A case with too many steps, or with a NaN."""


@dataclass(frozen=True)
class Context:
    """What one model has seen: ids, and the `fixed` text after them."""

    ids: Ids
    fixed: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Path:
    """The state of a path."""

    contexts: Mapping[str | None, Context]
    logprob: float = 0.0
    length: int = 0
    visits: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, list[tuple[str, float]]] = field(default_factory=dict)


def as_it_is(action: Action, fields: Mapping[str, list[tuple[str, float]]]) -> Action:
    """Return an action that has no template over fields."""
    return action


class SlowEvaluation:
    """One run of an automaton; None names the main model.

    :param most: how many steps it may take.
    :param fill: returns an action with its templates filled in from a path's fields.
    """

    def __init__(
        self,
        automaton: Automaton,
        models: Mapping[str | None, Model],
        most: int = 200,
        fill: Callable[[Action, Mapping[str, list[tuple[str, float]]]], Action] = as_it_is,
    ) -> None:
        self.automaton = automaton
        self.fill = fill
        self.seen: Counter[str] = Counter()
        self.readers = {name: Reader(model, self.seen) for name, model in models.items()}
        self.left = most

    def run(self) -> list[Step]:
        """Return the first steps, with all their descendants."""
        contexts = {name: Context(reader.start) for name, reader in self.readers.items()}
        return self._enter(self.automaton.entry, Path(contexts))

    def _enter(self, action: Action, path: Path) -> list[Step]:
        visits = {**path.visits, action.uid: path.visits.get(action.uid, 0) + 1}
        if visits[action.uid] > 1:
            self.seen["an action visited again"] += 1
        path = replace(path, visits=visits)
        if action.context == "fresh":
            path = self._begin_text(path)
        action = self.fill(action, path.fields)
        match action:
            case Text():
                found = self._text(action, path)
            case Choose():
                found = self._choose(action, path)
            case Complete():
                found = self._complete(action, path)
        self.left -= len(found)
        if self.left < 0:
            raise NotComparableError
        for branch, (step, after) in enumerate(found):
            step.name, step.model = action.name, action.model
            after = replace(after, fields=self._fields_after(path, action, step))
            self._go_on(action, branch, step, after)
        return [step for step, _ in found]

    def _begin_text(self, path: Path) -> Path:
        """End the text so far, as at the end of a path, and begin a new one for every model."""
        context = path.contexts[None]
        if any(piece.owner is not None for piece in context.fixed):
            self.seen["a text before a new one"] += 1
            path = self._settle(path, None, self.readers[None].spell(context.ids, context.fixed))
        contexts = {name: Context(reader.start) for name, reader in self.readers.items()}
        return replace(path, contexts=contexts)

    def _fields_after(
        self, path: Path, action: Action, step: Step
    ) -> Mapping[str, list[tuple[str, float]]]:
        if action.name is None:
            return path.fields
        text = step.text
        if isinstance(action, Choose):
            # Blanks around a choice do not count, unless they tell it from another.
            meanings = [str(choice).strip() or str(choice) for choice in action.choices]
            meaning = text.strip() or text
            text = meaning if meanings.count(meaning) == 1 else text
        value = (text, step.prob)
        return {**path.fields, action.name: [*path.fields.get(action.name, []), value]}

    def _text(self, action: Text, path: Path) -> list[tuple[Step, Path]]:
        given = (
            action.text.pieces if isinstance(action.text, Prompt) else [TextPiece(str(action.text))]
        )
        pieces = [piece for piece in given if isinstance(piece, TextPiece)]
        step = Step(action.uid, "".join(piece.text for piece in pieces))
        more = []
        constant = len(step.text) if action.constant_tail is None else len(action.constant_tail)
        for one in reversed(pieces):
            size = min(constant, len(one.text))
            constant -= size
            more.insert(0, Piece(one.text, step, one.trusted, action.evaluate, size))
        contexts = {
            name: replace(context, fixed=(*context.fixed, *more))
            for name, context in path.contexts.items()
        }
        return [(step, replace(path, contexts=contexts))]

    def _choose(self, action: Choose, path: Path) -> list[tuple[Step, Path]]:
        reader, context = self.readers[action.model], path.contexts[action.model]
        choices = [str(choice) for choice in action.choices]
        if len(set(choices)) < len(choices):
            raise RefusedError
        end = action.suffix if isinstance(action.suffix, str) else ""
        eos = reader.info.eos if action.suffix is EOS else ()
        fixed = reader.spell(context.ids, context.fixed)
        joint = [
            [t for t, _ in reader.spell(context.ids, (*context.fixed, Piece(choice + end)))]
            for choice in choices
        ]
        shared, decided = reference.shared_base([token for token, _ in fixed], joint)
        if len(shared) < len(fixed):
            self.seen["healed"] += 1
        if any(a != b and b[: len(a)] == a for a in decided for b in decided):
            self.seen["a choice that begins another"] += 1
        path = self._settle(path, action.model, fixed[: len(shared)])
        base = path.contexts[action.model].ids
        healed = reader.surface([token for token, _ in fixed[len(shared) :]])
        unconditional: Ids = ()
        if action.norm == "pmi":
            unconditional, told = self._unconditional(action, reader, context, healed)
        scores = reference.score(
            reader.row,
            base,
            decided,
            [len(reader.surface(tokens)) for tokens in decided],
            norm=action.norm,
            eos=eos,
            unconditional=unconditional if action.norm == "pmi" else None,
        )
        if any(math.isnan(score.prob) for score in scores):
            raise NotComparableError
        found = []
        for choice, tokens, score in zip(choices, decided, scores, strict=True):
            logprobs = reader.logprobs(base, tokens)
            if eos:
                logprobs += (reader.end_logprob(base + tokens),)
            step = Step(action.uid, choice, tokens + eos[:1], logprobs, prob=score.prob)
            step.unconditional = told if action.norm == "pmi" else None
            size = len(reader.surface(tokens)) - len(end.encode())
            found.append((step, self._decide(step, path, action.model, tokens, size)))
        if len(action.successors) > 1:
            for (step, _), uid in zip(found, action.successors, strict=True):
                if self._at_bound(uid, path):
                    step.pruned = "max_visits"
                    self.seen["a choice pruned at max_visits"] += 1
        rank = "exclusive" if action.norm == "sum" else action.norm
        self._prune(action, [s for s, _ in found], [getattr(score, rank) for score in scores])
        return found

    def _unconditional(
        self, action: Choose, reader: Reader, context: Context, healed: bytes
    ) -> tuple[Ids, str]:
        """Return the ids that pmi conditions on, and their text."""
        if text := action.unconditional_prompt:
            return reader.start + reader.tokens_of(text, at_start=True), text
        if reader.start:
            return reader.start, ""
        tail: list[Piece] = []
        for piece in reversed(context.fixed):
            tail.insert(0, replace(piece, text=piece.text[len(piece.text) - piece.constant :]))
            if piece.constant < len(piece.text):
                break
        if not context.ids and [one.text for one in tail] == [one.text for one in context.fixed]:
            raise RefusedError
        for _ in healed.decode(errors="replace"):
            while tail and not tail[-1].text:
                tail.pop()
            if tail:
                tail[-1] = replace(tail[-1], text=tail[-1].text[:-1])
        told = "".join(piece.text for piece in tail)
        if not told:
            raise RefusedError
        self.seen["pmi after the constant tail"] += 1
        return tuple(token for token, _ in reader.spell((), tail)), told

    def _complete(self, action: Complete, path: Path) -> list[tuple[Step, Path]]:
        reader, context = self.readers[action.model], path.contexts[action.model]
        path = self._settle(path, action.model, reader.spell(context.ids, context.fixed))
        base = path.contexts[action.model].ids
        vocabulary = action.vocab
        if isinstance(vocabulary, str):
            vocabulary = self.automaton.vocabs[vocabulary]
        written = Search(reader, action, vocabulary, base).run()
        found: list[tuple[Step, Path]] = []
        texts: dict[str, float] = {}
        for one in written:
            text = reader.surface(one.tokens)[: one.size].decode(errors="replace")
            logprobs = reader.logprobs(base, one.tokens)
            step = Step(action.uid, text, one.tokens, logprobs, finish=one.finish)
            if text in texts:
                step.pruned = "duplicate"
            texts.setdefault(text, one.score)
            said = one.tokens[:-1] if one.finish == "eos" else one.tokens
            found.append((step, self._decide(step, path, action.model, said, one.size)))
        total = math.fsum(math.exp(score - max(texts.values())) for score in texts.values())
        for one, (step, _) in zip(written, found, strict=True):
            share = math.exp(one.score - max(texts.values())) / total
            step.prob = 0.0 if step.pruned else share
        self._prune(action, [step for step, _ in found], [one.score for one in written])
        return found

    def _settle(self, path: Path, model: str | None, base: Sequence[tuple[int, Piece]]) -> Path:
        """Give the steps of the fixed text their tokens and scores."""
        reader, context = self.readers[model], path.contexts[model]
        for piece in context.fixed:
            tokens = tuple(token for token, owner in base if owner is piece)
            step = piece.owner
            if step is not None:
                step.model = model
                if piece.evaluate:
                    logprobs = reader.logprobs(context.ids, tokens)
                    step.logprobs += logprobs
                    path = replace(
                        path,
                        logprob=path.logprob + math.fsum(logprobs),
                        length=path.length + len(logprobs),
                    )
                step.tokens += tokens
                step.logprob, step.length = path.logprob, path.length
            context = replace(context, ids=context.ids + tokens)
        # For other models it goes on to be text, whose tokens are nobody's.
        contexts = {
            name: replace(other, fixed=tuple(replace(piece, owner=None) for piece in other.fixed))
            for name, other in path.contexts.items()
        }
        return replace(path, contexts={**contexts, model: replace(context, fixed=())})

    def _decide(self, step: Step, path: Path, model: str | None, tokens: Ids, size: int) -> Path:
        """Return the path after `tokens`, of which `size` bytes stay in the context."""
        step.logprob = path.logprob + math.fsum(step.logprobs)
        step.length = path.length + len(step.logprobs)
        kept, text = self.readers[model].before(tokens, size)
        step.retokenized = bool(text)
        contexts = {
            name: replace(context, fixed=(*context.fixed, Piece(step.text)))
            for name, context in path.contexts.items()
        }
        ids = path.contexts[model].ids + kept
        contexts[model] = Context(ids, (Piece(text),) if text else ())
        return Path(contexts, step.logprob, step.length, path.visits)

    def _prune(self, action: Choose | Complete, steps: list[Step], ranking: list[float]) -> None:
        candidates = [i for i, step in enumerate(steps) if step.pruned is None]
        candidates.sort(key=lambda i: -ranking[i])
        if len({ranking[i] for i in candidates}) < len(candidates):
            self.seen["equal scores"] += 1
        for rank, i in enumerate(candidates[1:], 1):
            step = steps[i]
            share = step.prob
            if action.threshold_on == "mean":
                share = math.exp(math.fsum(step.logprobs) / len(step.logprobs))
            if action.width is not None and rank >= action.width:
                step.pruned = "width"
            elif share < action.threshold:
                step.pruned = "threshold"

    def _at_bound(self, uid: str, path: Path) -> bool:
        most = self.automaton.by_uid[uid].max_visits
        return most is not None and path.visits.get(uid, 0) >= most

    def _go_on(self, action: Action, branch: int, step: Step, path: Path) -> None:
        if step.pruned:
            return
        if action.successors:
            uid = action.successors[branch if len(action.successors) > 1 else 0]
            if not self._at_bound(uid, path):
                step.children = self._enter(self.automaton.by_uid[uid], path)
                return
            step.pruned = "max_visits"
            self.seen["a path that ends at max_visits"] += 1
        step.last = not action.successors
        context = path.contexts[None]
        self._settle(path, None, self.readers[None].spell(context.ids, context.fixed))
