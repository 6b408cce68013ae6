"""Checks of an automaton's templates, up to a total size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from copy import copy
from dataclasses import dataclass

from autocog_core.automaton.actions import Action, Ask
from autocog_core.automaton.binding import iterate_templates
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.for_each import ForEach
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError, append_hint, shorten, suggest

#: Words and signs of all templates together. Each template counts `_COST_PER_TEMPLATE` extra.
MAX_WORDS = 100_000
_COST_PER_TEMPLATE = 30

AnyTemplate = Template | Each | ForEach


class TemplateChecks:
    """The checks of one automaton's templates. Each template is compiled only once.

    :param automaton: the automaton.
    """

    def __init__(self, automaton: AutomatonGraph) -> None:
        self._names = frozenset(automaton.inputs)
        self._fields = automaton.field_names
        self._words_left = _WordCount(MAX_WORDS)
        self._checked: dict[AnyTemplate, list[str]] = {}

    def for_items(self, group: Ask) -> TemplateChecks:
        """Return the checks of questions that a group asks for each item of a list.

        Their templates may also use the item, and the fields of their own question.

        :param group: the group.
        """
        assert group.for_each is not None
        checks = copy(self)
        checks._names = self._names | {group.for_each.name}
        checks._fields = self._fields | frozenset(group.names)
        checks._checked = {}
        return checks

    def errors(self, action: Action) -> Iterator[str]:
        """Yield a message for each error in an action's templates, without those of questions."""
        for template in iterate_templates(action):
            if template not in self._checked:
                if self._words_left.count < 0:
                    continue
                self._checked[template] = self._check(template)
                if self._words_left.count < 0:
                    yield (
                        f"the templates up to here have more than {MAX_WORDS} words and signs: "
                        "use fewer or shorter templates"
                    )
            yield from self._checked[template]

    def _check(self, template: AnyTemplate) -> list[str]:
        self._words_left.count -= _COST_PER_TEMPLATE
        try:
            names = template.names
            self._words_left.count -= template.words
        except InputError as error:
            return [str(error)]
        inputs, fields = self._names, self._fields
        no_inputs, no_fields = "the program declares no inputs", "no action has a name"
        return [
            *_unknown("input", names - inputs, inputs, no_inputs),
            *_unknown("field", template.fields.names - fields, fields, no_fields),
        ]


@dataclass(slots=True)
class _WordCount:
    """How many more words and signs the templates may have, in questions too."""

    count: int


def _unknown(kind: str, unknown: Iterable[str], known: Collection[str], hint: str) -> Iterator[str]:
    """Yield a message for each unknown name in a template.

    :param hint: what to say if there are no known names.
    """
    for name in sorted(unknown):
        yield append_hint(
            f'unknown {kind} "{shorten(name)}" in a template',
            suggest(name, known) if known else hint,
        )
