"""What keeps no automaton from running, but is seldom meant; and what only a model can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from autocog_core.automaton.actions import Choose, Complete, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.templates.template import Template
from autocog_core.errors import InputError
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.types.prompt import Prompt, TextPiece

if TYPE_CHECKING:
    from autocog_core.automaton.graph import AutomatonGraph
    from autocog_core.hooks.client import BackendClient


def warnings_of(
    automaton: AutomatonGraph, errors: Sequence[Finding], client: BackendClient | None
) -> Iterator[Finding]:
    """Warnings; with a model also errors that its tokens bring to light.

    :param errors: its errors: what has one is not checked with the model.
    :param caller: the main model; what runs on others is not held against it.
    """
    faulty = {error.uid for error in errors} if client else {}
    for action in automaton.actions:
        model = client if action.model is None and action.uid not in faulty else None
        match action:
            case Text():
                yield from _followers(automaton, action)
                if model is not None:
                    yield from _special_tokens(action, model)
            case Choose():
                yield from _prefixes(action, model)
            case Complete() if model is not None:
                yield from _stops(action, model)
                yield from _mask(automaton, action, model)


def _followers(automaton: AutomatonGraph, action: Text) -> Iterator[Finding]:
    """A text that ends where its follower begins badly."""
    last = _end_of(action)
    following = next((automaton.by_uid.get(uid) for uid in action.successors), None)
    if not last or following is None:
        return
    match following:
        case Complete(vocab=None) if last in " \t":
            yield Finding.at_action(
                f'it ends in a blank before the completion "{following.uid}": most tokens begin '
                "with theirs, and none can then; leave it out",
                action,
                warning=True,
            )
        case Choose() if last.isalnum():
            glued = [choice for choice in _texts(following) if choice[:1].isalnum()]
            if glued:
                yield Finding.at_action(
                    f'its last word runs into the choice {glued[0]!r} of "{following.uid}": '
                    "let the choice begin with a blank",
                    action,
                    warning=True,
                )


def _end_of(action: Text) -> str:
    """The last character, where it is known."""
    match action.text:
        case Prompt(pieces):
            texts = [piece.text for piece in pieces if isinstance(piece, TextPiece) and piece.text]
            return texts[-1][-1] if texts else ""
        case Template(source):
            return "" if source.endswith("}") else source[-1:]
        case text:
            return str(text)[-1:]


def _texts(action: Choose) -> list[str]:
    """Choices that are known."""
    return [choice for choice in action.choices if isinstance(choice, str)]


def _prefixes(action: Choose, client: BackendClient | None) -> Iterator[Finding]:
    """Choices that begin others: of their tokens, where a model tells these."""
    if action.suffix is not None:
        return
    # What is empty or there twice is an error.
    choices = [choice for choice in dict.fromkeys(_texts(action)) if choice]
    spelled: Sequence[Sequence[object]] = choices
    if client is not None:
        spelled = client.tokenize(choices, at_start=False)
    # Sorted, what begins another stands right before one that it begins.
    for (first, short), (second, long) in pairwise(
        sorted(zip(choices, map(tuple, spelled), strict=True), key=lambda each: each[1])
    ):
        if long[: len(short)] == short:
            yield Finding.at_action(
                f"the choice {first!r} begins {second!r}: it is ranked by the probability that "
                "the longer one does not follow; an `end` would tell them apart",
                action,
                warning=True,
            )
            return


def _special_tokens(action: Text, client: BackendClient) -> Iterator[Finding]:
    """The surface of a control token that is not to be parsed."""
    text = action.text
    if isinstance(text, Template):
        text = "" if text.special else text.source
    if not isinstance(text, str):
        return
    for token in client.info.special_tokens:
        if token.text.strip() and token.text in text:
            yield Finding.at_action(
                f'it says "{token.text}" as plain text; with `special` it is the token',
                action,
                warning=True,
            )
            return


def _stops(action: Complete, client: BackendClient) -> Iterator[Finding]:
    """Stops that do not fit into the length."""
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


def _mask(automaton: AutomatonGraph, action: Complete, client: BackendClient) -> Iterator[Finding]:
    """A set that holds none of the model's tokens."""
    vocab = automaton.vocabs.get(action.vocab) if isinstance(action.vocab, str) else action.vocab
    if vocab is None:
        return
    try:
        if not TokenMaskCache.of_model(client).of(vocab).any():
            yield Finding.at_action("its vocab holds none of the model's tokens", action)
    except InputError as error:
        yield Finding.at_action(error.message, action)
