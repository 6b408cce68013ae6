"""Merge chains of texts, so that a tree has fewer nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autocog_core.automaton.actions import Action, Ask, Choose, Text
from autocog_core.types.prompt import Prompt, TextPiece, join_text


def successor(action: Action, by_uid: Mapping[str, Action], branch: int = 0) -> Action | None:
    """Return the action that follows, or None if the path ends.

    :param action: the action that is followed.
    :param by_uid: all actions.
    :param branch: the index of the choice, if `action` is a `Choose`.
    """
    if not action.successors:
        return None
    has_one_per_choice = isinstance(action, Choose) and len(action.successors) > 1
    return by_uid[action.successors[branch if has_one_per_choice else 0]]


def merge_text_chains(actions: Sequence[Action]) -> list[Action]:
    """Return the actions with every chain of texts merged into its first, also in questions.

    :param actions: the actions of an automaton without errors.
    """
    by_uid = {action.uid: action for action in actions}
    incoming = Counter(uid for action in actions for uid in action.successors)
    # The start of every path counts as an edge to the entry: it is never merged into another text.
    incoming[actions[0].uid] += 1
    next_texts = {
        action.uid: text
        for action in actions
        if (text := _mergeable_successor(action, by_uid, incoming)) is not None
    }
    merged_away = {text.uid for text in next_texts.values()}
    remaining: list[Action] = []
    for action in actions:
        if action.uid in merged_away:
            continue
        if isinstance(action, Ask):
            questions = (tuple(merge_text_chains(question)) for question in action.questions)
            remaining.append(replace(action, questions=tuple(questions)))
            continue
        chain = [action]
        while text := next_texts.get(chain[-1].uid):
            chain.append(text)
        remaining.append(_merge(chain))
    return remaining


def _mergeable_successor(
    action: Action, by_uid: Mapping[str, Action], incoming: Counter[str]
) -> Text | None:
    """Return the next text, if merging it into `action` changes no result."""
    following = successor(action, by_uid)
    if (
        isinstance(action, Text)
        and isinstance(following, Text)
        and incoming[following.uid] == 1
        and all(_is_mergeable(text) for text in (action, following))
        and action.evaluate == following.evaluate
        and action.model == following.model
        and not following.is_fresh
    ):
        return following
    return None


def _is_mergeable(action: Text) -> bool:
    return (
        action.name is None and action.max_visits is None and isinstance(action.text, str | Prompt)
    )


def _merge(chain: list[Action]) -> Action:
    first, last = chain[0], chain[-1]
    if len(chain) == 1:
        return first
    texts = [action.text for action in chain if isinstance(action, Text)]
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
    return replace(first, text=text, constant_tail=_merge_tails(chain), successors=last.successors)


def _merge_tails(chain: Sequence[Action]) -> str | None:
    """Return the `constant_tail` of merged texts; None if all of them are constant."""
    tail = ""
    for action in reversed(chain):
        assert isinstance(action, Text)
        if action.constant_tail is not None:
            return action.constant_tail + tail
        text = action.text
        tail = (join_text(text.pieces) if isinstance(text, Prompt) else str(text)) + tail
    return None
