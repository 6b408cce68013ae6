"""Checks of an automaton's templates, up to a total size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autocog_core.automaton.actions import Action
from autocog_core.automaton.binding import iterate_templates
from autocog_core.automaton.inputs import Input
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError, append_hint, shorten, suggest

#: Words and signs of all templates together. Each template counts `_COST_PER_TEMPLATE` extra.
MAX_WORDS = 100_000
_COST_PER_TEMPLATE = 30


class TemplateChecks:
    """The checks of one automaton's templates. Each template is compiled only once.

    :param inputs: the declared inputs.
    """

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self._inputs = inputs
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
        return [
            append_hint(
                f'unknown input "{shorten(name)}" in a template',
                suggest(name, self._inputs) if self._inputs else "the program declares no inputs",
            )
            for name in sorted(names - self._inputs.keys())
        ]
