"""What is wrong with an automaton's templates, of which only so many are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autocog_core.automaton.actions import Action
from autocog_core.automaton.binding import templates_of
from autocog_core.automaton.inputs import Input
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError, cut, suggestion

#: What all templates may come to, in their words and signs; each counts some more.
MOST_WORDS = 100_000
_WORDS_EACH = 30


class TemplateChecks:
    """Templates of one automaton, each of which is compiled once.

    :param inputs: those that are declared.
    """

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self._inputs = inputs
        self._left = MOST_WORDS
        self._known: dict[Template | Each, list[str]] = {}

    def faults(self, action: Action) -> Iterator[str]:
        """What is wrong with an action's templates."""
        for template in templates_of(action):
            if template not in self._known:
                if self._left < 0:
                    continue
                self._known[template] = self._looked_at(template)
                if self._left < 0:
                    yield (
                        "there are too many templates, or too long ones: up to here they have "
                        f"more than {MOST_WORDS} words and signs"
                    )
            yield from self._known[template]

    def _looked_at(self, template: Template | Each) -> list[str]:
        self._left -= _WORDS_EACH
        try:
            names = template.names
            self._left -= template.words
        except InputError as error:
            return [str(error)]
        hint = "the automaton declares none"
        return [
            f'a template names the unknown input "{cut(name)}": '
            + (suggestion(name, self._inputs) or hint)
            for name in sorted(names - self._inputs.keys())
        ]
