"""The marginals of some fields in the output rows of a run, and what a program needs for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autocog_core.automaton.actions import Choose, Complete
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.repeated_fields import uids_before
from autocog_core.dataset.table_fields import table_fields
from autocog_core.errors import InputError, did_you_mean
from autocog_core.types.thought_tree import ThoughtTree


def check_marginals(automaton: AutomatonGraph, names: Iterable[str]) -> tuple[str, ...]:
    """Return the fields whose marginals a run computes, each once, after a check of the program.

    :param automaton: the program.
    :param names: the fields.
    :raises InputError: if there is no such field, if the run would follow only some of the samples
        before it, or if it reads only the best choices there or before.
    """
    fields = [field.name for field in table_fields(automaton)]
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in fields:
            hint = did_you_mean(name, fields)
            raise InputError(f'there is no field "{name}"', where="marginals", hint=hint)
        setters = {action.uid for action in automaton.field_actions if action.name == name}
        before = uids_before(automaton.actions, setters)
        for action in automaton.all_actions:
            is_read_in_part = isinstance(action, Choose) and action.top is not None
            if is_read_in_part and (action.name == name or action.uid in before):
                raise InputError(
                    f'the marginals of "{name}" need the probabilities of all choices, and action '
                    f'"{action.uid}" reads only the best ones',
                    where="marginals",
                    hint="leave out its top, and --probs winner",
                )
        for action in automaton.actions:
            if action.uid in before and isinstance(action, Complete) and _loses_samples(action):
                raise InputError(
                    f'the marginals of "{name}" need all samples of action "{action.uid}"',
                    where="marginals",
                    hint="follow all of them: width: null, and no threshold",
                )
    return names


def make_marginals(tree: ThoughtTree, names: Sequence[str]) -> dict[str, Any]:
    """Return the marginals of some fields as plain data; by item for a group with `for_each`.

    :param tree: the tree.
    :param names: the fields.
    :raises InputError: see `ThoughtTree.marginals`.
    """
    marginals: dict[str, Any] = {}
    for name in names:
        keys = dict.fromkeys(node.keys for node in tree.nodes if node.name == name)
        if not any(key is not None for key in keys):
            marginals[name] = tree.find_marginal(name).to_dict()
            continue
        record = marginals.setdefault(name, {})
        for key in keys:
            if key:
                below = record
                for part in key[:-1]:
                    below = below.setdefault(part, {})
                below[key[-1]] = tree.find_marginal(name, key).to_dict()
    return marginals


def _loses_samples(action: Complete) -> bool:
    if not action.samples:
        return False
    return action.threshold > 0 or (action.width is not None and action.width < action.samples)
