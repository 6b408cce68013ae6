"""Templates over fields: compared with the slow reference; their checks, with walks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import reject

from autocog_core import InputError, Text
from autocog_core.automaton.field_flow import FieldFlow
from autocog_core.automaton.templates.template import Each
from tests.support.automata.comparing import check_tree, features, walk
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.reading import RefusedError
from tests.support.automata.reference_evaluator import NotComparableError, SlowEvaluation
from tests.support.automata.with_fields import (
    REPEATED,
    FieldCase,
    cases_with_fields,
    may_be_unset,
    may_repeat,
)
from tests.support.soak import count

REFUSED = r"nothing to condition on|no token is allowed|this model adds no BOS|repeats"


def compare(case: FieldCase) -> Iterator[str]:
    """Compare both orders with the reference tree, and return the features of the case."""
    models = case.models()
    main = models[None]
    others = {name: model for name, model in models.items() if name is not None}
    assert not case.automaton.errors()
    yield from check_flow(case)
    slow = SlowEvaluation(case.automaton, models, fill=case.fill)
    try:
        steps = slow.run()
    except RefusedError:
        with pytest.raises(InputError, match=REFUSED):
            case.automaton.run(main, models=others)
        yield "refused"
        return
    except NotComparableError:
        reject()
    fresh = {action.uid for action in case.actions if action.context == "fresh"}
    tree = case.automaton.run(main, models=others)
    check_tree(tree, steps, fresh)
    check_tree(case.automaton.run(main, models=others, order="best_first"), steps, fresh)
    yield from slow.seen
    yield "compared"
    yield from features(case, models, steps)
    for uid in {step.uid for step in walk(steps)} & case.forms.keys():
        form, _ = case.forms[uid]
        action = case.automaton.by_uid[uid]
        yield "a text over fields" if isinstance(action, Text) else "choices over fields"
        yield "a list" if form in REPEATED else "a value"
        if form.unset is not None:
            yield "a default"
        if any(isinstance(choice, Each) for choice in getattr(action, "choices", ())):
            yield "a choice for each item"


def check_flow(case: FieldCase) -> Iterator[str]:
    """The analysis of the graph equals a walk for each action and field."""
    actions = case.actions
    names = {"f", "g"}
    flow = FieldFlow(actions, names)
    assert flow.repeated() == {name for name in names if may_repeat(actions, name)}
    for action in actions:
        for name in names:
            unset = may_be_unset(actions, action.uid, name)
            assert flow.always_set(action.uid, name) == (not unset)
            if unset:
                path = flow.path_without(action.uid, name)
                assert (path[0], path[-1]) == (actions[0].uid, action.uid)
                assert all(case.automaton.by_uid[uid].name != name for uid in path[:-1])
            else:
                yield "a field that every path sets"


def test_trees_over_fields_equal_the_reference() -> None:
    examples = count(normal=25, soak=450)
    seen = compare_drawn(cases_with_fields(), compare, 16, examples)
    assert seen["compared"] >= examples * 2 // 3, seen
    for feature in ("a text over fields", "choices over fields", "a list", "a value", "a default"):
        assert seen[feature] >= examples / 25, f"{feature}: {seen}"
