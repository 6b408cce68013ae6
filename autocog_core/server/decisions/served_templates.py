"""The template of each served model, and what its chat template writes around a question."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Self

from fastapi import Depends, Request

from autocog_core.errors import ConfigError, did_you_mean
from autocog_core.server.decisions.chat_frame import ChatFrame
from autocog_core.server.decisions.template import DecisionTemplate
from autocog_core.server.served_models import ServedModel


class ServedTemplates:
    """The templates of all models of a server.

    :param by_model: templates of models that have one of their own.
    """

    def __init__(self, by_model: Mapping[str, DecisionTemplate]) -> None:
        self._by_model = by_model
        self._default = DecisionTemplate.default()
        self._frames: dict[str, ChatFrame | None] = {}

    @classmethod
    def read(cls, paths: Mapping[str, Path], names: Collection[str]) -> Self:
        """Read the templates of a server.

        :param paths: the file of the template, by the name of a model.
        :param names: the names of all models.
        :raises ConfigError: for a model that is not served, or a template that is not valid.
        """
        for name in paths:
            if name not in names:
                raise ConfigError(
                    f'no model "{name}" is served',
                    where="server.templates",
                    hint=did_you_mean(name, names),
                )
        return cls({name: DecisionTemplate.read(path) for name, path in paths.items()})

    async def get(self, model: ServedModel) -> tuple[DecisionTemplate, ChatFrame | None]:
        """Return the template of a model, and its chat frame; None if it has no chat template.

        :param model: the model.
        :raises AutocogError: if its chat template refuses a message of the user.
        """
        if model.name not in self._frames:
            self._frames[model.name] = await model.calls.call(ChatFrame.of)
        return self._by_model.get(model.name, self._default), self._frames[model.name]


async def _templates_of(request: Request) -> ServedTemplates:
    templates: ServedTemplates = request.app.state.templates
    return templates


#: A parameter of a route.
Templates = Annotated[ServedTemplates, Depends(_templates_of)]
