"""Warnings about the place where a text of an automaton meets a choice or a completion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.joints import (
    choice_problems,
    completion_problems,
    is_word_start,
    without_blank,
)
from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.choices import Choice
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.token_tree import TreeQuery

if TYPE_CHECKING:
    from autocog_core.automaton.graph import AutomatonGraph
    from autocog_core.hooks.client import BackendClient

#: Tokens whose first characters are looked at.
_LIKELIEST_TOKENS = 20
#: The probability of tokens with a blank, from which a choice should have one too.
_MIN_PROBABILITY = 0.5


def joint_warnings(automaton: AutomatonGraph, action: Action) -> Iterator[Finding]:
    """Yield warnings about an action together with those that follow it.

    :param automaton: the automaton.
    :param action: one of its actions.
    """
    if isinstance(action, Choose):
        for code, message in choice_problems("", known_choices(action)):
            yield Finding.warning_at(code, message, action)
    elif isinstance(action, Text) and (before := known_text(action)):
        for follower in _followers(automaton, action):
            yield from _check_joint(action, before, follower)


def _check_joint(action: Text, before: str, follower: Action) -> Iterator[Finding]:
    match follower:
        case Complete(vocab=None, regex=None, grammar=None, json_schema=None):
            problems = completion_problems(before)
        case Choose():
            problems = choice_problems(before, known_choices(follower))
        case _:
            return
    for code, message in problems:
        # Known without the text, and reported at the choice.
        if code is not WarningCode.CHOICE_ENDS_IN_BLANK:
            about_text = code is WarningCode.TEXT_ENDS_IN_NEWLINE
            yield Finding.warning_at(code, message, action if about_text else follower)


def _followers(automaton: AutomatonGraph, action: Action) -> list[Action]:
    """Return the actions that continue an action's text: of a group, its questions."""
    actions = [automaton.by_uid.get(uid) for uid in action.successors]
    followers: list[Action] = []
    for follower in actions:
        if isinstance(follower, Ask):
            followers += (question[0] for question in follower.first_questions if question)
        elif follower is not None:
            followers.append(follower)
    return [follower for follower in followers if not follower.is_fresh]


def known_text(action: Text) -> str:
    """Return a text, or the source of its template; empty if its end depends on values."""
    match action.text:
        case Prompt(pieces):
            texts = [piece.text for piece in pieces if isinstance(piece, TextPiece) and piece.text]
            return texts[-1] if texts else ""
        case Template(source):
            return "" if source.endswith("}") else source
        case text:
            return str(text)


def known_choices(action: Choose) -> list[str]:
    """Return the texts of choices, and the sources of their templates."""
    texts: list[str] = []
    for choice in action.choices:
        match choice:
            case Choice(texts=parts):
                texts += [part.source if isinstance(part, Template) else part for part in parts]
            case Each(text=text, texts=several):
                texts += several or (text,)
            case Template(source):
                texts.append(source)
            case _:
                texts.append(choice)
    return [text for text in texts if isinstance(text, str)]


def check_likeliest_tokens(
    automaton: AutomatonGraph, action: Text, client: BackendClient
) -> Iterator[Finding]:
    """Warn about choices without a blank where the model's likeliest tokens begin with one.

    It evaluates a text at the beginning of all paths, if it is known.
    """
    begins = action.is_fresh or (bool(automaton.actions) and action is automaton.actions[0])
    if not begins or isinstance(action.text, Template):
        return
    if not {"greedy_impl", "greedy_tree_impl"}.intersection(client.capabilities):
        return
    before = known_text(action)
    for follower in _followers(automaton, action):
        if not isinstance(follower, Choose) or follower.model is not None:
            continue
        choices = known_choices(follower)
        if not before or not choices or not all(map(is_word_start, choices)):
            continue
        if any(True for _ in choice_problems(before, choices)):
            # The text alone shows it.
            continue
        if _blank_probability(client, Prompt.of(action.text)) >= _MIN_PROBABILITY:
            code, message = without_blank(before, choices[0])
            yield Finding.warning_at(
                code, f"{message}, as the model's likeliest tokens do", follower
            )


def _blank_probability(client: BackendClient, prompt: Prompt) -> float:
    """Return the probability of the likeliest next tokens that begin with a blank."""
    none = np.zeros(0, dtype=np.int32)
    query = TreeQuery(
        prefix=encode_prompt(client, prompt),
        tokens=none,
        parents=none,
        top_at=np.array([-1], dtype=np.int32),
        top_k=min(_LIKELIEST_TOKENS, client.info.vocabulary_size),
    )
    scores = client.greedy_tree([query])[0]
    tokens = scores.top_tokens[0].tolist()
    with_blank = [token >= 0 and client.token_bytes(token)[:1] == b" " for token in tokens]
    return float(np.exp(scores.top_logprobs[0][with_blank]).sum())
