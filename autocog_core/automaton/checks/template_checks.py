"""Checks of an automaton's templates, up to a total size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from autocog_core.automaton.actions import Action
from autocog_core.automaton.binding import iterate_templates
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError, append_hint, shorten, suggest

#: Words and signs of all templates together. Each template counts `_COST_PER_TEMPLATE` extra.
MAX_WORDS = 100_000
_COST_PER_TEMPLATE = 30


class TemplateChecks:
    """The checks of one automaton's templates. Each template is compiled only once.

    :param automaton: the automaton.
    """

    def __init__(self, automaton: AutomatonGraph) -> None:
        self._inputs = automaton.inputs
        self._fields = automaton.field_names
        self._words_left = MAX_WORDS
        self._errors: dict[Template | Each, list[str]] = {}

    def errors(self, action: Action) -> Iterator[str]:
        """Yield a message for each error in an action's templates."""
        for template in iterate_templates(action):
            if template not in self._errors:
                if self._words_left < 0:
                    continue
                self._errors[template] = self._check(template)
                if self._words_left < 0:
                    yield (
                        f"the templates up to here have more than {MAX_WORDS} words and signs: "
                        "use fewer or shorter templates"
                    )
            yield from self._errors[template]

    def _check(self, template: Template | Each) -> list[str]:
        self._words_left -= _COST_PER_TEMPLATE
        try:
            names = template.names
            self._words_left -= template.words
        except InputError as error:
            return [str(error)]
        inputs, fields = self._inputs, self._fields
        no_inputs, no_fields = "the program declares no inputs", "no action has a name"
        return [
            *_unknown("input", names - inputs.keys(), inputs, no_inputs),
            *_unknown("field", template.fields.names - fields, fields, no_fields),
        ]


def _unknown(kind: str, unknown: Iterable[str], known: Collection[str], hint: str) -> Iterator[str]:
    """Yield a message for each unknown name in a template.

    :param hint: what to say if there are no known names.
    """
    for name in sorted(unknown):
        yield append_hint(
            f'unknown {kind} "{shorten(name)}" in a template',
            suggest(name, known) if known else hint,
        )
