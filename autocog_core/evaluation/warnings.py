"""Warnings about an automaton, and errors that only a model's tokens show."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.checks.graph_checks import loops_of_texts
from autocog_core.automaton.choices import texts_of
from autocog_core.automaton.templates.template import Template
from autocog_core.errors import InputError
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.unconditional_checks import check_unconditional_prompt
from autocog_core.hooks.automaton_run import MAX_PATH_NODES
from autocog_core.scoring.choice_lengths import length_warning
from autocog_core.types.prompt import Prompt, TextPiece

if TYPE_CHECKING:
    from autocog_core.automaton.graph import AutomatonGraph
    from autocog_core.hooks.client import BackendClient


def find_warnings(
    automaton: AutomatonGraph,
    errors: Sequence[Finding],
    client: BackendClient | None,
    *,
    is_question: bool = False,
) -> Iterator[Finding]:
    """Yield warnings, and with a model also errors that depend on its tokens.

    :param automaton: the automaton.
    :param errors: its errors; actions with errors are not checked with the model.
    :param client: the main model's client; actions on other models are not checked with it.
    :param is_question: whether it is a question of a group, which continues other text.
    """
    uids_with_errors = {error.uid for error in errors}
    yield from _check_length_of_paths(automaton, uids_with_errors)
    for action in automaton.actions:
        if action.is_fresh and not isinstance(action, Text):
            yield Finding.at_action(
                "begins a new text, and has no prompt: give `context: fresh` to a text before it",
                action,
                warning=True,
            )
        is_checkable = action.model is None and action.uid not in uids_with_errors
        model = client if is_checkable else None
        match action:
            case Text():
                yield from _check_text_end(automaton, action)
                if model is not None:
                    yield from _check_special_tokens(action, model)
            case Choose():
                yield from _check_prefixes(action, model)
                if warning := length_warning(_fixed_choices(action), action.norm):
                    yield Finding.at_action(warning, action, warning=True)
                if model is not None and not errors:
                    yield from check_unconditional_prompt(
                        automaton, action, model, is_question=is_question
                    )
            case Complete() if model is not None:
                yield from _check_stops(action, model)
                yield from _check_token_set(automaton, action, model)
            case Ask():
                for graph in automaton.question_graphs(action):
                    yield from find_warnings(graph, errors, client, is_question=True)


def _check_length_of_paths(
    automaton: AutomatonGraph, uids_with_errors: Container[object]
) -> Iterator[Finding]:
    """Warn about loops that nothing decides, and about paths that a run would cut."""
    for action in automaton.actions:
        visits = action.max_visits
        if visits is not None and visits > MAX_PATH_NODES and action.uid not in uids_with_errors:
            yield Finding.at_action(
                f"max_visits is {visits:,}: a run ends after {MAX_PATH_NODES:,} nodes of a path",
                action,
                warning=True,
            )
    has_unknown_successors = any(
        uid not in automaton.own_uids for action in automaton.actions for uid in action.successors
    )
    for action in () if has_unknown_successors else loops_of_texts(automaton):
        yield Finding.at_action(
            "is on a loop of texts alone, which no choice can leave: write the text out, or add a "
            "Choose",
            action,
            warning=True,
        )


def _check_text_end(automaton: AutomatonGraph, action: Text) -> Iterator[Finding]:
    """Warn about the last character of a text before a completion or a choice."""
    last = _last_character(action)
    follower = next((automaton.by_uid.get(uid) for uid in action.successors), None)
    followers = [follower]
    if isinstance(follower, Ask):
        followers = [question[0] for question in follower.questions if question]
    for follower in followers if last else ():
        if follower is not None and not follower.is_fresh:
            yield from _check_joint(action, last, follower)


def _check_joint(action: Text, last: str, follower: Action) -> Iterator[Finding]:
    """Warn about the last character of a text before a certain action."""
    match follower:
        case Complete(vocab=None) if last in " \t":
            yield Finding.at_action(
                f'it ends in a blank before the completion "{follower.uid}": remove the blank, '
                "because most tokens begin with one",
                action,
                warning=True,
            )
        case Choose() if last.isalnum():
            joined = [choice for choice in _fixed_choices(follower) if choice[:1].isalnum()]
            if joined:
                yield Finding.at_action(
                    f'its last word runs into the choice {joined[0]!r} of "{follower.uid}": '
                    "begin the choice with a blank",
                    action,
                    warning=True,
                )


def _last_character(action: Text) -> str:
    """Return the last character of a text; empty if it depends on the inputs."""
    match action.text:
        case Prompt(pieces):
            texts = [piece.text for piece in pieces if isinstance(piece, TextPiece) and piece.text]
            return texts[-1][-1] if texts else ""
        case Template(source):
            return "" if source.endswith("}") else source[-1:]
        case text:
            return str(text)[-1:]


def _fixed_choices(action: Choose) -> list[str]:
    """Return the texts of choices that do not depend on the inputs."""
    return [text for choice in action.choices for text in texts_of(choice)]


def _check_prefixes(action: Choose, client: BackendClient | None) -> Iterator[Finding]:
    """Warn about a choice that begins another: in tokens, or without a model in characters."""
    if action.suffix is not None:
        return
    # Empty and duplicate choices are errors, which are reported elsewhere.
    owners = {
        text: index for index, choice in enumerate(action.choices) for text in texts_of(choice)
    }
    choices = [text for text in owners if text]
    sequences: Sequence[Sequence[object]] = choices
    if client is not None:
        sequences = client.tokenize(choices, at_start=False)
    # In sorted order, a sequence comes directly before one that it begins.
    for (first, short), (second, long) in pairwise(
        sorted(zip(choices, map(tuple, sequences), strict=True), key=lambda pair: pair[1])
    ):
        if long[: len(short)] == short and owners[first] != owners[second]:
            yield Finding.at_action(
                f"the choice {first!r} begins {second!r}: its rank excludes the longer choice; "
                "a `suffix` separates them",
                action,
                warning=True,
            )
            return


def _check_special_tokens(action: Text, client: BackendClient) -> Iterator[Finding]:
    """Warn about the text of a special token in text that is not parsed for it."""
    text = action.text
    if isinstance(text, Template):
        text = "" if text.special else text.source
    if not isinstance(text, str):
        return
    for token in client.info.special_tokens:
        if token.text.strip() and token.text in text:
            yield Finding.at_action(
                f'it contains "{token.text}" as plain text; `special` makes it the token',
                action,
                warning=True,
            )
            return


def _check_stops(action: Complete, client: BackendClient) -> Iterator[Finding]:
    """Warn about stop strings with more tokens than the completion may have."""
    if not action.stop:
        return
    for stop, tokens in zip(
        action.stop, client.tokenize(list(action.stop), at_start=False), strict=True
    ):
        if len(tokens) > action.length:
            yield Finding.at_action(
                f"the stop {stop!r} takes {len(tokens)} tokens, and its length is {action.length}",
                action,
                warning=True,
            )


def _check_token_set(
    automaton: AutomatonGraph, action: Complete, client: BackendClient
) -> Iterator[Finding]:
    """Report a token set that has none of the model's tokens, or an invalid pattern."""
    vocab = automaton.vocabs.get(action.vocab) if isinstance(action.vocab, str) else action.vocab
    if vocab is None:
        return
    try:
        if not TokenMaskCache.for_model(client).mask_for(vocab).any():
            yield Finding.at_action("its vocab holds none of the model's tokens", action)
    except InputError as error:
        yield Finding.at_action(error.message, action)
