"""What is wrong with an automaton, found before any model is asked: all faults at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.checks.finding import GRAPH_ERRORS, Finding, finding, place_of
from autocog_core.automaton.checks.graph_checks import (
    unbounded_cycles,
    unreachable_actions,
    wrong_successors,
)
from autocog_core.automaton.checks.template_checks import TemplateChecks
from autocog_core.automaton.checks.token_set_checks import TokenSetChecks
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.errors import InputError, cut, suggestion, with_hint
from autocog_core.types.choice import NORMS
from autocog_core.types.prompt import Prompt, TextPiece

#: Faults that are looked for: whoever has more mends these first.
MOST_FAULTS = 200


#: Texts that a completion may be of: each is kept, with what it takes to go on.
MOST_TEXTS = 10_000


#: Powers beyond it overflow for long texts, and rank by nothing but length before that.
MOST_PENALTY = 50


def faults_of(automaton: AutomatonGraph) -> list[Finding]:
    """List everything that prevents an automaton from being run."""
    if not automaton.actions:
        return [Finding("there are no actions", "automaton")]
    found = list(islice(_of_actions(automaton), MOST_FAULTS))
    if not found:
        # Only a graph whose edges lead somewhere can be walked.
        found += [finding(GRAPH_ERRORS[0], action) for action in unreachable_actions(automaton)]
        found += [finding(GRAPH_ERRORS[1], action) for action in unbounded_cycles(automaton)]
    return found[:MOST_FAULTS]


def require_sound(
    automaton: AutomatonGraph, faults: Iterable[Finding] | None = None, *, paths: bool = True
) -> None:
    """Refuse an automaton with errors.

    :param faults: its errors, where they are known already.
    :param paths: also those of the whole graph. A bound one may have lost choices, if a list
        was empty, and with them the only way to an action.
    :raises InputError: naming all of them.
    """
    faults = faults_of(automaton) if faults is None else faults
    found = [one for one in faults if paths or one.message not in GRAPH_ERRORS]
    if found:
        raise InputError(
            "\n".join(str(one) for one in found) if len(found) > 1 else found[0].message,
            where="automaton" if len(found) > 1 else found[0].where,
        )


def _of_actions(automaton: AutomatonGraph) -> Iterator[Finding]:
    yield from _names(automaton)
    sets = TokenSetChecks()
    for name, vocabulary in automaton.vocabs.items():
        for what in sets.faults(vocabulary):
            yield Finding(what, place_of(name))
    templates = TemplateChecks(automaton.inputs)
    for action in automaton.actions:
        for what in _own(action, automaton):
            yield finding(what, action)
        for what in templates.faults(action):
            yield finding(what, action)
        if isinstance(action, Complete) and isinstance(action.vocab, Vocabulary):
            for what in sets.faults(action.vocab):
                yield finding(what, action)
        for what in wrong_successors(action, automaton):
            yield finding(what, action)


def _names(automaton: AutomatonGraph) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, action in enumerate(automaton.actions):
        if not isinstance(action.uid, str) or not action.uid:
            yield Finding("has no uid", f"action {number}")
        elif action.uid in seen:
            yield finding("another action has the same uid", action)
        seen.add(action.uid)


def _own(action: Action, automaton: AutomatonGraph) -> Iterator[str]:
    """What is wrong with an action by itself."""
    if action.max_visits is not None and action.max_visits < 1:
        yield f"max_visits is {action.max_visits}: give 1 or more"
    match action:
        case Text():
            if isinstance(action.text, Prompt) and not all(
                isinstance(piece, TextPiece) for piece in action.text.pieces
            ):
                yield "text has pieces of token ids: give text"
            yield from _unwritable("its text", _fixed(action.text))
        case Choose():
            yield from _choices(action)
            yield from _pruning(action)
            for key in ("suffix", "unconditional_prompt"):
                if isinstance(text := getattr(action, key), str):
                    yield from _unwritable(key, text)
            if action.norm not in NORMS:
                yield f"unknown norm {action.norm!r}: one of " + ", ".join(NORMS)
        case Complete():
            yield from _completion(action, automaton)
            yield from _pruning(action)


def _fixed(text: object) -> object:
    match text:
        case Prompt(pieces):
            return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
        case Template(source):
            return source
        case _:
            return text


def _choices(action: Choose) -> Iterator[str]:
    if not action.choices:
        yield "there are no choices"
    seen: set[str] = set()
    for number, choice in enumerate(action.choices):
        if isinstance(choice, Template | Each):
            # Known when the inputs are.
            continue
        if not choice:
            yield f"choice {number} is empty"
        elif choice in seen:
            yield f"choice {number}, {cut(choice)!r}, was given before"
        else:
            yield from _unwritable(f"choice {number}", choice)
            seen.add(choice)


def _unwritable(name: str, text: object) -> Iterator[str]:
    """Characters that no tokenizer takes, for they have no UTF-8 form."""
    if not isinstance(text, str):
        yield f"{name} is no text but {type(text).__name__}"
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        yield f"{name} has a lone surrogate at character {error.start}: it is no valid Unicode"


def _pruning(action: Choose | Complete) -> Iterator[str]:
    if action.width is not None and action.width < 1:
        yield f"width is {action.width}: give 1 or more, or none for all"
    if not 0 <= action.threshold <= 1:
        yield f"threshold is {action.threshold}: give 0 to 1"
    if action.threshold_on not in ("prob", "mean"):
        yield f'threshold_on is {action.threshold_on!r}: give "prob" or "mean"'


def _completion(action: Complete, automaton: AutomatonGraph) -> Iterator[str]:
    if action.length < 1:
        yield f"length is {action.length}: give 1 or more"
    if not 1 <= action.beams <= MOST_TEXTS:
        most = "" if action.beams < 1 else f", at most {MOST_TEXTS}"
        yield f"beams is {action.beams}: give 1 or more{most}"
    if not 0 <= action.samples <= MOST_TEXTS:
        most = "" if action.samples < 0 else f" (at most {MOST_TEXTS})"
        yield f"samples is {action.samples}: give 1 or more{most}, or 0 for beam search"
    if action.samples and action.beams > 1:
        yield "it has both beams and samples: give one of them"
    if not 0 <= action.temperature < math.inf:
        yield f"temperature is {action.temperature}: give 0 or more"
    elif action.samples and not action.temperature:
        yield "temperature is 0: give more than 0, or leave samples out"
    if action.seed < 0:
        yield f"seed is {action.seed}: give 0 or more"
    if not abs(action.length_penalty) <= MOST_PENALTY:
        yield (
            f"length_penalty is {action.length_penalty}: give a number from -{MOST_PENALTY} to "
            f"{MOST_PENALTY}"
        )
    if not 0 < action.top_p <= 1:
        yield f"top_p is {action.top_p}: give more than 0, at most 1"
    for number, stop in enumerate(action.stop):
        if not isinstance(stop, str) or not stop:
            yield f"stop {number} is empty"
        else:
            yield from _unwritable(f"stop {number}", stop)
    if isinstance(action.vocab, str) and action.vocab not in automaton.vocabs:
        hint = suggestion(action.vocab, automaton.vocabs)
        if not automaton.vocabs:
            hint = "the automaton has none"
        yield with_hint(f'unknown vocab "{cut(action.vocab)}"', hint)
