"""Cases with templates over earlier fields, and with new texts.

A function beside each template is its slow twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from autocog_core import Choose, Each, Template, Text
from autocog_core.automaton import Action
from autocog_core.types.prompt import Prompt
from tests.support.automata.generated import Case, Draw, cases, often, seldom

#: A field on a path: its values so far, each with its share.
Values = list[tuple[str, float]]


@dataclass(frozen=True)
class FieldText:
    """A template over one field, and what it makes of the field's values; NAME is its name.

    :ivar source: the template. `render`: of the values, of which there is at least one.
    :ivar unset: the text where the field is not set; None if it must be.
    """

    source: str
    render: Callable[[Values], str]
    unset: str | None = None

    @property
    def tail(self) -> str:
        """The text after the last expression or statement, which does not depend on fields."""
        return max(self.source.rpartition("}}"), self.source.rpartition("%}"), key=_end)[2]


def _end(parts: tuple[str, str, str]) -> int:
    return len(parts[0])


#: Of a field that a path sets at most once.
SINGLE = (
    FieldText("a{{ fields.NAME }}", lambda values: "a" + values[0][0]),
    FieldText(
        "b{{ fields['NAME'] | replace('a', '1') }}.",
        lambda values: f"b{values[0][0].replace('a', '1')}.",
    ),
    FieldText(
        "{% if fields.NAME.prob > 0.5 %}1{% else %}0{{ fields.NAME }}{% endif %}",
        lambda values: "1" if values[0][1] > 0.5 else "0" + values[0][0],
    ),
    FieldText("é{{ fields.NAME | default('b.') }}", lambda values: "é" + values[0][0], "éb."),
    FieldText(
        "{% if fields.NAME is defined %}{{ fields.NAME }} {% endif %}a",
        lambda values: values[0][0] + " a",
        "a",
    ),
)
#: Of a field that a path may set several times: it is a list.
REPEATED = (
    FieldText(
        "a{{ fields.NAME | join('.') }}", lambda values: "a" + ".".join(v for v, _ in values)
    ),
    FieldText(
        "{% for one in fields.NAME %}{{ loop.index % 2 }}{{ one }}{% endfor %}b",
        lambda values: "".join(f"{(i + 1) % 2}{v}" for i, (v, _) in enumerate(values)) + "b",
    ),
    FieldText(
        "b{{ (fields.NAME | default(['a'])) | last }}", lambda values: "b" + values[-1][0], "ba"
    ),
)


@dataclass(frozen=True)
class FieldCase(Case):
    """A case with templates over fields.

    :ivar forms: the template of each action over fields, by uid, and the field that it names.
    """

    forms: Mapping[str, tuple[FieldText, str]]

    def fill(self, action: Action, fields: Mapping[str, Values]) -> Action:
        """Return an action with its template filled in, by the twins of templates."""
        if action.uid not in self.forms:
            return action
        form, name = self.forms[action.uid]
        values = fields.get(name)
        text = form.render(values) if values else form.unset
        assert text is not None
        match action:
            case Text():
                return replace(action, text=text, constant_tail=form.tail)
            case Choose(choices=choices):
                filled: list[Any] = []
                successors: list[str] = []
                for index, choice in enumerate(choices):
                    match choice:
                        case Template():
                            texts = [text]
                        case Each():
                            texts = [f"0{value}" for value, _ in values or []]
                        case _:
                            texts = [str(choice)]
                    filled += texts
                    if len(action.successors) > 1:
                        successors += [action.successors[index]] * len(texts)
                return replace(
                    action,
                    choices=tuple(filled),
                    successors=tuple(successors) or action.successors,
                )
        raise TypeError(action)


def may_be_unset(graph: tuple[Action, ...], uid: str, name: str) -> bool:
    """Whether some way to an action sets no such field: walk the graph without these actions."""
    by_uid = {action.uid: action for action in graph}
    reached = {graph[0].uid}
    for _ in graph:
        reached |= {
            successor
            for reached_uid in reached
            if by_uid[reached_uid].name != name
            for successor in by_uid[reached_uid].successors
        }
    return uid in reached


def may_repeat(graph: tuple[Action, ...], name: str) -> bool:
    """Whether some way meets the field twice."""
    by_uid = {action.uid: action for action in graph}
    for action in graph:
        reached = set(action.successors)
        for _ in graph:
            reached |= {successor for uid in reached for successor in by_uid[uid].successors}
        if action.name == name and any(by_uid[uid].name == name for uid in reached):
            return True
    return False


@st.composite
def with_names(draw: Draw, graph: tuple[Action, ...]) -> tuple[Action, ...]:
    """Name a few of the actions "f" or "g", mostly one each."""
    names: dict[int, str | None] = dict.fromkeys(range(len(graph)))
    for name in ("f", "g"):
        for _ in range(2 if draw(seldom) else 1):
            names[draw(st.integers(0, max(0, len(graph) - 2)))] = name
    return tuple(
        # As plain text, a special token has no tokens in the small vocabulary.
        action
        if isinstance(action, Text) and isinstance(action.text, Prompt)
        else replace(action, name=names[index])
        for index, action in enumerate(graph)
    )


@st.composite
def cases_with_fields(draw: Draw, kind: str = "small", vocabulary: str = "") -> FieldCase:
    """A case on the model `kind`, most of whose texts and choices use a field."""
    case = draw(cases(kind, vocabulary))
    named = draw(with_names(case.actions))
    forms: dict[str, tuple[FieldText, str]] = {}
    with_templates = []
    for action in named:
        can_use = isinstance(action, Text | Choose) and draw(often)
        name = draw(st.sampled_from(["f", "g"]))
        if can_use and any(other.name == name for other in named):
            form = _draw_form(draw, named, action.uid, name)
            if form is not None:
                action = _with_template(draw, action, form, name, may_repeat(named, name))
                forms[action.uid] = form, name
        if draw(seldom):
            action = replace(action, context="fresh")
        with_templates.append(action)
    return FieldCase(kind, case.options, tuple(with_templates), case.vocabs, forms)


def _draw_form(draw: Draw, named: tuple[Action, ...], uid: str, name: str) -> FieldText | None:
    forms = REPEATED if may_repeat(named, name) else SINGLE
    if may_be_unset(named, uid, name):
        forms = tuple(form for form in forms if form.unset is not None)
    return draw(st.sampled_from(forms))


def _with_template(draw: Draw, action: Action, form: FieldText, name: str, repeats: bool) -> Action:
    template = Template(form.source.replace("NAME", name))
    if isinstance(action, Text):
        return replace(action, text=template, constant_tail=None)
    assert isinstance(action, Choose)
    each = Each(f"fields.{name}", "0{{ item }}")
    more: Any = each if repeats and form.unset is None and draw(st.booleans()) else template
    successors = action.successors
    if len(successors) > 1:
        successors = (*successors, successors[0])
    return replace(action, choices=(*action.choices, more), successors=successors)
