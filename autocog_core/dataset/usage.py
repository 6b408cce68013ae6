"""What a run asks of its models, as far as they count it."""

from __future__ import annotations

from collections.abc import Mapping

from autocog_core.model.model import Model
from autocog_core.types.backend_info import Usage


class Meter:
    """Tells what models were asked for since it was made; those that do not count are left out.

    :param model: the main one. `models`: those that actions name.
    """

    def __init__(self, model: Model, models: Mapping[str, Model] | None = None) -> None:
        self._begun = [
            (name, each, each.usage) for name, each in _each_once(model, models or {}).items()
        ]

    def read(self) -> dict[str, Usage]:
        """By the model's name in the program; the main one by its own."""
        found = {}
        for name, model, before in self._begun:
            now = model.usage
            if now is not None:
                found[name] = now - (before or Usage())
        return found


def _each_once(model: Model, models: Mapping[str, Model]) -> dict[str, Model]:
    found = {model.name: model}
    for name, each in models.items():
        # The main one may be named as well, and two models may have the same name.
        if each.client not in (other.client for other in found.values()):
            found[name if name not in found else f"{name} (2)"] = each
    return found
