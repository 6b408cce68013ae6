"""Warnings about an automaton's actions that depend on a model's tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.special_tokens import (
    is_chat_model,
    is_plain_question,
    special_token_problems,
    template_problem,
)
from autocog_core.automaton.actions import Choose, Complete, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.choices import texts_of
from autocog_core.automaton.templates.template import Template
from autocog_core.errors import InputError
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.types.prompt import Prompt, TextPiece

if TYPE_CHECKING:
    from autocog_core.automaton.graph import AutomatonGraph
    from autocog_core.hooks.client import BackendClient


def check_special_tokens(action: Text, client: BackendClient) -> Iterator[Finding]:
    """Warn about special tokens in a text that are none there, or none of this model."""
    text = action.text
    if isinstance(text, Template):
        # Of a template, its source: what it inserts is data.
        prompt = Prompt((TextPiece(text.source, trusted=text.special),))
    else:
        prompt = Prompt.of(text)
    for code, message in special_token_problems(prompt, client.info):
        yield Finding.warning_at(code, message, action)


def check_question(
    automaton: AutomatonGraph, action: Text, client: BackendClient
) -> Iterator[Finding]:
    """Warn about a question to a chat model without its template."""
    if isinstance(action.text, Template) or not is_plain_question(Prompt.of(action.text)):
        return
    followers = (automaton.by_uid.get(uid) for uid in action.successors)
    if any(isinstance(follower, Choose | Complete) for follower in followers) and is_chat_model(
        client.info, client.capabilities
    ):
        yield Finding.warning_at(*template_problem(), action)


def check_prefixes(action: Choose, client: BackendClient | None) -> Iterator[Finding]:
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
            yield Finding.warning_at(
                WarningCode.CHOICE_BEGINS_ANOTHER,
                f"the choice {first!r} begins {second!r}: its rank excludes the longer choice; "
                "a `suffix` separates them",
                action,
            )
            return


def check_stops(action: Complete, client: BackendClient) -> Iterator[Finding]:
    """Warn about stop strings with more tokens than the completion may have."""
    if not action.stop:
        return
    for stop, tokens in zip(
        action.stop, client.tokenize(list(action.stop), at_start=False), strict=True
    ):
        if len(tokens) > action.length:
            yield Finding.warning_at(
                WarningCode.STOP_LONGER_THAN_LENGTH,
                f"the stop {stop!r} takes {len(tokens)} tokens, and its length is {action.length}",
                action,
            )


def check_token_set(
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
