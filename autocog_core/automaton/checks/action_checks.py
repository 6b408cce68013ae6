"""All errors of an automaton that are known without a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Messages, Record, Text
from autocog_core.automaton.checks.chat_checks import (
    check_conversations,
    check_messages_action,
    check_thinking,
)
from autocog_core.automaton.checks.constraint_checks import ConstraintChecks, check_constraint_keys
from autocog_core.automaton.checks.field_checks import unknown_probs, unset_fields
from autocog_core.automaton.checks.finding import GRAPH_ERRORS, Finding, vocab_label
from autocog_core.automaton.checks.graph_checks import (
    unbounded_cycles,
    unreachable_actions,
    wrong_successors,
)
from autocog_core.automaton.checks.group_checks import check_groups
from autocog_core.automaton.checks.template_checks import TemplateChecks
from autocog_core.automaton.checks.text_checks import check_text
from autocog_core.automaton.checks.token_set_checks import TokenSetChecks
from autocog_core.automaton.choices import Choice, has_several_texts, norm_error, value_errors
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.field_values import FIELDS
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.errors import InputError, append_hint, shorten, suggest
from autocog_core.types.choice import NORMS
from autocog_core.types.prompt import Prompt, TextPiece, join_text
from autocog_core.types.search_goal import is_number_of_best

#: Errors after which the checks stop.
MAX_ERRORS = 200
#: Beams or samples of a completion: the run keeps a state for each.
MAX_TEXTS = 10_000
#: Larger exponents overflow for long texts, and rank by length alone.
MAX_LENGTH_PENALTY = 50

_UNREACHABLE = "no path leads to this action: remove it, or make it the next of another action"
_UNBOUNDED_CYCLE = "is on an endless cycle: give max_visits to an action of the cycle"


def find_errors(automaton: AutomatonGraph) -> list[Finding]:
    """Return all errors that prevent a run, at most `MAX_ERRORS`."""
    if not automaton.actions:
        return [Finding(message="has no actions", where="automaton")]
    errors = list(islice(_check_parts(automaton), MAX_ERRORS))
    if not errors:
        # The graph is traversable only if all successors exist.
        errors += islice(_check_graph(automaton), MAX_ERRORS)
        errors += islice(check_conversations(automaton), MAX_ERRORS)
        errors += islice(unset_fields(automaton), MAX_ERRORS)
        errors += islice(unknown_probs(automaton), MAX_ERRORS)
    return errors[:MAX_ERRORS]


def _check_graph(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield the errors of the whole graph, and of those of its questions."""
    for action in unreachable_actions(automaton):
        yield Finding.at_action(_UNREACHABLE, action, code="unreachable")
    for action in unbounded_cycles(automaton):
        yield Finding.at_action(_UNBOUNDED_CYCLE, action, code="unbounded_cycle")
    for action in automaton.actions:
        if isinstance(action, Ask):
            for graph in automaton.question_graphs(action):
                yield from _check_graph(graph)


def require_sound(
    automaton: AutomatonGraph, errors: Iterable[Finding] | None = None, *, paths: bool = True
) -> None:
    """Reject an automaton with errors.

    :param automaton: the automaton to check.
    :param errors: its errors, if they are known already.
    :param paths: whether errors of the whole graph count. In a bound automaton, an empty list may
        have removed choices, and with them the only path to an action.
    :raises InputError: naming all errors.
    """
    errors = find_errors(automaton) if errors is None else errors
    errors = [error for error in errors if paths or error.code not in GRAPH_ERRORS]
    if len(errors) == 1:
        raise InputError(errors[0].message, where=errors[0].where)
    if errors:
        raise InputError("\n".join(map(str, errors)), where="automaton")


def require_sound_action(action: Action) -> None:
    """Reject a filled-in action with errors.

    :raises InputError: naming all errors.
    """
    if messages := list(_check_fields(action)):
        raise InputError("; ".join(messages), where=f'action "{action.uid}"')


def _check_parts(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield the errors of the parts: uids, token sets, and actions one by one."""
    yield from _check_uids(automaton)
    sets = TokenSetChecks()
    for name, vocabulary in automaton.vocabs.items():
        for message in sets.errors(vocabulary):
            yield Finding(message=message, where=vocab_label(name))
    if FIELDS in automaton.inputs:
        message = f'the name "{FIELDS}" is reserved in templates; choose another one'
        yield Finding(message=message, where="inputs", code="reserved_input")
    yield from _check_actions(automaton, sets, ConstraintChecks(), TemplateChecks(automaton))
    yield from check_groups(automaton)


def _check_actions(
    automaton: AutomatonGraph,
    sets: TokenSetChecks,
    constraints: ConstraintChecks,
    templates: TemplateChecks,
    outside: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield the errors of the actions one by one, with those of questions after their group."""
    for action in automaton.actions:
        for message in chain(_check_fields(action), templates.errors(action)):
            yield Finding.at_action(message, action)
        if isinstance(action, Complete):
            yield from _check_vocab(action, automaton, sets)
            for message in constraints.errors(action):
                yield Finding.at_action(message, action)
        for message in wrong_successors(action, automaton, outside):
            yield Finding.at_action(message, action)
        if isinstance(action, Ask):
            inner = templates if action.for_each is None else templates.for_items(action)
            per_item = len(action.first_questions)
            items = list(action.items or ())
            for index, graph in enumerate(automaton.question_graphs(action)):
                for error in _check_actions(graph, sets, constraints, inner, automaton.own_uids):
                    if items:
                        item = shorten(items[index // per_item])
                        error = replace(error, message=f'for the item "{item}": {error.message}')
                    yield error


def _check_uids(automaton: AutomatonGraph) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, action in enumerate(automaton.all_actions):
        if not isinstance(action.uid, str) or not action.uid:
            yield Finding(message="has no uid", where=f"actions[{index}]", uid=action.uid)
        elif action.uid in seen:
            yield Finding.at_action("another action has the same uid", action)
        seen.add(action.uid)


def _check_fields(action: Action) -> Iterator[str]:
    """Yield a message for each invalid value of an action's fields."""
    if action.max_visits is not None and action.max_visits < 1:
        yield f"max_visits is {action.max_visits}: give 1 or more"
    if action.context not in ("continue", "fresh"):
        yield f'context is {action.context!r}: give "continue" or "fresh"'
    match action:
        case Text():
            if isinstance(action.text, Prompt) and not all(
                isinstance(piece, TextPiece) for piece in action.text.pieces
            ):
                yield "text has pieces of token ids: give text"
            text = _source_of(action.text)
            yield from check_text("text", text)
            tail = action.constant_tail
            if tail is not None and isinstance(text, str) and not text.endswith(tail):
                yield f"constant_tail is {shorten(tail)!r}, and its text does not end so"
        case Choose():
            yield from _check_choices(action)
            yield from _check_pruning(action)
            yield from _check_top(action)
            yield from check_thinking(action.thinking)
            for key in ("suffix", "unconditional_prompt"):
                if isinstance(text := getattr(action, key), str):
                    yield from check_text(key, text)
            if action.norm not in NORMS:
                yield f"norm is {action.norm!r}: give one of " + ", ".join(NORMS)
            elif action.norm != "sum" and any(map(has_several_texts, action.choices)):
                yield f'norm {norm_error(action.norm)}; use "sum"'
        case Record():
            yield from _check_record(action)
        case Complete():
            yield from _check_completion(action)
            yield from _check_pruning(action)
            yield from check_thinking(action.thinking)
        case Messages():
            yield from check_messages_action(action)
        case Ask():
            pass
        case _:
            yield (
                f"is a {type(action).__name__}: give a Text, Messages, a Choose, a Complete or an "
                "Ask"
            )


def _source_of(text: object) -> object:
    match text:
        case Prompt(pieces):
            return join_text(pieces)
        case Template(source):
            return source
        case _:
            return text


def _check_record(action: Record) -> Iterator[str]:
    """Yield a message for each wrong option; the layer `records` checks the schema."""
    for key in ("beams", "max_tokens_per_text", "max_items"):
        if getattr(action, key) < 1:
            yield f"{key} is {getattr(action, key)}: give 1 or more"
    if action.flat and action.name is None:
        yield "flat needs a name, with which the names of its fields begin"


def _check_choices(action: Choose) -> Iterator[str]:
    if not action.choices:
        yield "has no choices: give at least one"
    seen: set[str] = set()
    for index, choice in enumerate(action.choices):
        for text in choice.texts if isinstance(choice, Choice) else (choice,):
            if isinstance(text, Template | Each):
                # It depends on the inputs.
                continue
            if not text:
                yield f"choices[{index}] is empty: give text"
            elif text in seen:
                yield f"choices[{index}] repeats {shorten(text)!r}: remove it"
            else:
                yield from check_text(f"choices[{index}]", text)
                seen.add(text)
    for index, message in value_errors(action.choices):
        yield f"choices[{index}] {message}"


def _check_pruning(action: Choose | Complete) -> Iterator[str]:
    if action.width is not None and action.width < 1:
        yield f"width is {action.width}: give 1 or more, or null (None) for all"
    if not 0 <= action.threshold <= 1:
        yield f"threshold is {action.threshold}: give 0 to 1"
    if action.threshold_on not in ("prob", "mean"):
        yield f'threshold_on is {action.threshold_on!r}: give "prob" or "mean"'


def _check_top(action: Choose) -> Iterator[str]:
    """Yield a message for each value that does not go with reading the best choices alone."""
    top = action.top
    if top is None:
        return
    if not is_number_of_best(top):
        yield f"top is {top!r}: give 1 or more, or null (None) for the scores of all choices"
        return
    if action.width is None or action.width > top:
        width = "null (None)" if action.width is None else str(action.width)
        yield f"width is {width}, and only {top} of the choices are read (top): give at most {top}"
    if action.threshold > 0 and action.threshold_on == "prob":
        yield (
            f"threshold is {action.threshold:g}, and the probabilities are not known with top: "
            'leave one of them out, or give threshold_on "mean"'
        )


def _check_completion(action: Complete) -> Iterator[str]:
    if action.length < 1:
        yield f"length is {action.length}: give 1 or more"
    if not 1 <= action.beams <= MAX_TEXTS:
        yield f"beams is {action.beams}: give 1 to {MAX_TEXTS}"
    if not 0 <= action.samples <= MAX_TEXTS:
        yield f"samples is {action.samples}: give 1 to {MAX_TEXTS}, or 0 for beam search"
    if action.samples and action.beams > 1:
        yield "has both beams and samples: give one of them"
    if not 0 <= action.temperature < math.inf:
        yield f"temperature is {action.temperature}: give 0 or more"
    elif action.samples and not action.temperature:
        yield "temperature is 0: give more than 0, or omit samples"
    if action.seed < 0:
        yield f"seed is {action.seed}: give 0 or more"
    if not abs(action.length_penalty) <= MAX_LENGTH_PENALTY:
        yield (
            f"length_penalty is {action.length_penalty}: "
            f"give -{MAX_LENGTH_PENALTY} to {MAX_LENGTH_PENALTY}"
        )
    if not 0 < action.top_p <= 1:
        yield f"top_p is {action.top_p}: give more than 0, and at most 1"
    for index, stop in enumerate(action.stop):
        if not isinstance(stop, str) or not stop:
            yield f"stop[{index}] is empty: give text"
        else:
            yield from check_text(f"stop[{index}]", stop)
    yield from check_constraint_keys(action)


def _check_vocab(
    action: Complete, automaton: AutomatonGraph, sets: TokenSetChecks
) -> Iterator[Finding]:
    if isinstance(action.vocab, Vocabulary):
        for message in sets.errors(action.vocab):
            yield Finding.at_action(message, action)
    elif isinstance(action.vocab, str) and action.vocab not in automaton.vocabs:
        hint = suggest(action.vocab, automaton.vocabs)
        message = append_hint(
            f'unknown vocab "{shorten(action.vocab)}"',
            hint if automaton.vocabs else "the automaton has no vocabs",
        )
        yield Finding.at_action(message, action, code="unknown_vocab")
