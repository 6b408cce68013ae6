"""In a process of its own: check one model's options, load it, and tell what its engine is.

python -m autocog_core.doctor.model_probe CONFIG NAME check|load
"""

from __future__ import annotations

import sys
import time
from typing import Any

from autocog_core.config import plugins
from autocog_core.config.config_file import Config, ModelConfig, read_config
from autocog_core.doctor.child import ProbeChannel
from autocog_core.doctor.environment import resident_bytes
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.secrecy import conceal_all
from autocog_core.model.load import hidden_options, load, resolve_model


def main() -> None:
    """Tell how far one model gets; each step when it is done."""
    tell = ProbeChannel()
    path, name, depth = sys.argv[1:]
    config = read_config(path)
    conceal_all(config)
    try:
        _, model = config.model(name)
        # Before anything can crash over them: their names, for the parent knows the values.
        tell(hidden=[hidden_options(plugin) for plugin in _plugins(model)])
        resolve_model(model, config, f"models.{name}.")
        tell(checked=True)
        if depth == "load":
            _load(config, name, tell)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is an answer
        problem = Problem.of(error, str(path), f'model "{name}"')
        tell(what=problem.what, fix=problem.fix)
    tell(done=True)


def _plugins(model: ModelConfig) -> list[type[Any]]:
    wrappers = [plugins.load_class(entry.name, plugins.WRAPPERS) for entry in model.wrappers]
    return [plugins.load_class(model.backend), *wrappers]


def _load(config: Config, name: str, tell: ProbeChannel) -> None:
    began = time.perf_counter()
    # Without its wrappers, which were checked: they would write files.
    alone = config.models[name].model_copy(update={"wrappers": ()})
    config = config.model_copy(update={"models": {**config.models, name: alone}})
    with load(name, config=config) as model:
        info = model.info
        tell(seconds=time.perf_counter() - began, resident_bytes=resident_bytes())
        tell(
            facts={
                "engine": info.name,
                "vocabulary_size": info.vocabulary_size,
                "context_length": info.context_length,
                "capabilities": model.capabilities,
                "tolerance": info.tolerance,
                "concurrency": info.max_concurrency,
                "details": info.details,
            }
        )
        # Last: it may read all the weights.
        tell(fingerprint=info.fingerprint)


if __name__ == "__main__":
    main()
