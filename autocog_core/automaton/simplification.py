"""Chains of texts made one, so that there is less to enter into the tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autocog_core.automaton.actions import Action, Choose, Text
from autocog_core.types.prompt import Prompt, TextPiece


def successor(action: Action, by_uid: Mapping[str, Action], branch: int = 0) -> Action | None:
    """Return what follows an action, or one of a Choose's choices; None where the path ends."""
    if not action.successors:
        return None
    several = isinstance(action, Choose) and len(action.successors) > 1
    return by_uid[action.successors[branch if several else 0]]


def merge_text_chains(actions: Sequence[Action], by_uid: Mapping[str, Action]) -> list[Action]:
    """Return the actions with every chain of texts merged into its first."""
    leading = Counter(uid for action in actions for uid in action.successors)
    # Nothing leads to the entry but the beginning of a path.
    leading[actions[0].uid] += 1
    after = {
        action.uid: following
        for action in actions
        if (following := _mergeable(by_uid, action, leading)) is not None
    }
    swallowed = {following.uid for following in after.values()}
    found = []
    for action in actions:
        if action.uid in swallowed:
            continue
        joined = [action]
        while following := after.get(joined[-1].uid):
            joined.append(following)
        found.append(_merged(joined))
    return found


def _mergeable(by_uid: Mapping[str, Action], action: Action, leading: Counter[str]) -> Text | None:
    """The text after `action` that says no more than if `action` said it."""
    following = successor(action, by_uid)
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
