"""Check that every path to a template has set the fields that the template needs."""

from __future__ import annotations

from collections.abc import Iterator

from autocog_core.automaton.actions import Choose
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.field_flow import FieldFlow
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.field_values import FIELDS
from autocog_core.automaton.winners import fields_with_prob
from autocog_core.errors import shorten

#: Actions of a path that a message names.
_MAX_SHOWN_ACTIONS = 6


def unset_fields(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield an error for each field that a template needs and some path to it does not set.

    All successors and fields must exist.
    """
    names: frozenset[str] = frozenset().union(
        *(uses.required for uses in automaton.field_uses.values())
    )
    if not names:
        return
    flow = FieldFlow(automaton.actions, names)
    for uid, uses in automaton.field_uses.items():
        action = automaton.by_uid[uid]
        for name in sorted(uses.required):
            if not flow.always_set(action.uid, name):
                path = " > ".join(_shorten_path(flow.path_without(action.uid, name)))
                yield Finding.at_action(
                    f'the field "{shorten(name)}" may be unset here: the path {path} does not set '
                    f"it; give a default: {{{{ {FIELDS}.{name} | default('') }}}}",
                    action,
                    code="unset_field",
                )


def unknown_probs(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield an error for each template that uses a share that is only known within bounds."""
    for uid, name in fields_with_prob(automaton):
        for action in automaton.all_actions:
            if action.name == name and isinstance(action, Choose) and action.top is not None:
                yield Finding.at_action(
                    f"uses {FIELDS}.{shorten(name)}.prob, which is not known: action "
                    f'"{shorten(action.uid)}" reads only the best choices; leave out its top',
                    automaton.by_uid.get(uid, action),
                )


def _shorten_path(uids: list[str]) -> list[str]:
    shown = [shorten(uid) for uid in uids]
    if len(shown) <= _MAX_SHOWN_ACTIONS:
        return shown
    half = _MAX_SHOWN_ACTIONS // 2
    return [*shown[:half], "…", *shown[-half:]]
