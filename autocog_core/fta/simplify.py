"""Chains of texts made one, so that there is less to enter into the tree."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from autocog_core.fta.actions import Action, Text
from autocog_core.fta.automaton import Automaton
from autocog_core.pieces import Prompt, TextPiece


def simplified(automaton: Automaton) -> Automaton:
    """The automaton with every chain of texts joined into its first.

    Texts that are fields of the record stay, and so do those with templates: bind these first.

    :raises InputError: for an automaton with faults.
    """
    automaton.require_sound()
    leading = Counter(uid for action in automaton.actions for uid in action.successors)
    # Nothing leads to the entry but the beginning of a path.
    leading[automaton.entry.uid] += 1
    after = {
        action.uid: following
        for action in automaton.actions
        if (following := _mergeable(automaton, action, leading)) is not None
    }
    swallowed = {following.uid for following in after.values()}
    found = []
    for action in automaton.actions:
        if action.uid in swallowed:
            continue
        joined = [action]
        while following := after.get(joined[-1].uid):
            joined.append(following)
        found.append(_merged(joined))
    return Automaton(
        found,
        automaton.vocabs,
        automaton.inputs,
        description=automaton.description,
        metadata=automaton.metadata,
    )


def _mergeable(automaton: Automaton, action: Action, leading: Counter[str]) -> Text | None:
    """The text after `action` that says no more than if `action` said it."""
    following = automaton.successor(action)
    if (
        isinstance(action, Text)
        and isinstance(following, Text)
        and leading[following.uid] == 1
        and all(_plain(each) for each in (action, following))
        and action.evaluate == following.evaluate
        and action.model == following.model
    ):
        return following
    return None


def _plain(action: Text) -> bool:
    return (
        action.name is None and action.max_visits is None and isinstance(action.text, str | Prompt)
    )


def _merged(actions: list[Action]) -> Action:
    first, last = actions[0], actions[-1]
    if len(actions) == 1:
        return first
    texts = [action.text for action in actions if isinstance(action, Text)]
    if all(isinstance(text, str) for text in texts):
        text: str | Prompt = "".join(str(text) for text in texts)
    else:
        prompts = [text if isinstance(text, Prompt) else Prompt.of(str(text)) for text in texts]
        text = Prompt(
            tuple(
                piece
                for prompt in prompts
                for piece in prompt.pieces
                if isinstance(piece, TextPiece)
            )
        )
    assert isinstance(first, Text)
    return replace(first, text=text, successors=last.successors)
