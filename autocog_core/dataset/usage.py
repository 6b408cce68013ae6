"""Requests and tokens that a run causes at its models."""

from __future__ import annotations

from collections.abc import Mapping

from autocog_core.model.model import Model
from autocog_core.types.backend_info import Usage


class UsageMeter:
    """Usage of models since the meter was created.

    :param model: the main model.
    :param models: the models that actions name.
    """

    def __init__(self, model: Model, models: Mapping[str, Model] | None = None) -> None:
        self._models = _distinct_models(model, models or {})
        self._initial = {name: model.usage for name, model in self._models.items()}

    def read(self) -> dict[str, Usage]:
        """Return the usage by model, without models that do not count it.

        The main model has its own name, the others the name that actions use.
        """
        return {
            name: usage - (self._initial[name] or Usage())
            for name, model in self._models.items()
            if (usage := model.usage) is not None
        }


def _distinct_models(main: Model, models: Mapping[str, Model]) -> dict[str, Model]:
    distinct = {main.name: main}
    for name, model in models.items():
        # Actions may name the main model too, and two models may have the same name.
        if model.client not in (other.client for other in distinct.values()):
            distinct[name if name not in distinct else f"{name} (2)"] = model
    return distinct
