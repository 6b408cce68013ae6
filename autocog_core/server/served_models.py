"""The models that a server serves: by name, loaded at the start or at the first use."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autocog_core.async_calls.async_model import AsyncModel
from autocog_core.config.server_config import ServerLimits
from autocog_core.errors import did_you_mean
from autocog_core.model.model import Model
from autocog_core.server.request_errors import RequestError

logger = logging.getLogger(__name__)

#: What clients of the System One protocol call the model that a server prefers.
DEFAULT_ALIASES = frozenset({"jev-latest", "default"})


@dataclass(frozen=True)
class ServedModel:
    """A loaded model.

    :ivar name: its name.
    :ivar calls: its calls for asyncio.
    """

    name: str
    calls: AsyncModel

    @property
    def model(self) -> Model:
        """The model itself, for what takes no time."""
        return self.calls.model


class ServedModels:
    """The models of a server.

    :param loaders: by name: what loads the model.
    :param default: the name of the model that answers if a request names none.
    :param together: how many waiting calls an engine gets as one call.
    """

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], Model]],
        default: str,
        together: int = ServerLimits().together,
    ) -> None:
        self._loaders = dict(loaders)
        self._together = together
        self.default = default
        #: When the server was made, in seconds since 1970: when its models were "released".
        self.created = int(time.time())
        self._loaded: dict[str, ServedModel] = {}
        self._locks = {name: asyncio.Lock() for name in self._loaders}

    @property
    def names(self) -> Sequence[str]:
        """The names of all models, the default model first."""
        return [self.default, *(name for name in self._loaders if name != self.default)]

    @property
    def loaded(self) -> Mapping[str, ServedModel]:
        """The models that are loaded, by name."""
        return self._loaded

    def resolve(self, name: str | None) -> str:
        """Return the name of the model that a request means.

        :param name: the name in the request; None and "jev-latest" mean the default model.
        :raises RequestError: if there is no such model.
        """
        if name in self._loaders:
            return name
        if name is None or name in DEFAULT_ALIASES:
            return self.default
        raise RequestError(
            f'no model "{name[:80]}"; {did_you_mean(name[:80], self._loaders)}',
            status=404,
            code="model_not_found",
            parameter="model",
        )

    async def get(self, name: str | None = None) -> ServedModel:
        """Return a model; load it if this is its first use.

        :param name: as in a request.
        :raises RequestError: if there is no such model, or with 503 if it cannot be loaded; the
            next request tries again.
        """
        name = self.resolve(name)
        if name in self._loaded:
            return self._loaded[name]
        async with self._locks[name]:
            try:
                await asyncio.to_thread(self.load, name)
            except Exception as error:
                # Its text may name files: it is for the log.
                logger.error("the model %s cannot be loaded: %s", name, error)
                logger.debug("the model %s", name, exc_info=error)
                raise RequestError(
                    f'the model "{name}" cannot be loaded; the log of the server says why',
                    status=503,
                    code="model_not_loaded",
                    parameter="model",
                ) from None
            return self._loaded[name]

    def load(self, name: str) -> None:
        """Load a model now, before the server runs.

        :param name: its name.
        :raises AutocogError: if it cannot be loaded.
        """
        if name not in self._loaded:
            self._loaded[name] = ServedModel(
                name, AsyncModel(self._loaders[name](), max_together=self._together)
            )

    async def close(self) -> None:
        """Close all models, each after the calls that it makes now."""
        loaded, self._loaded = self._loaded, {}
        for served in loaded.values():
            await served.calls.close()
