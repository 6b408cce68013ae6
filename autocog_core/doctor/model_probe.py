"""In a process of its own: check one model's options, load it, and tell what its engine is.

python -m autocog_core.doctor.model_probe CONFIG NAME check|load
"""

from __future__ import annotations

import sys
import time
from typing import Any

from autocog_core import plugins, secrets
from autocog_core.completion import check_defaults, merged
from autocog_core.config import Config, read_config, resolve_secrets, validate
from autocog_core.doctor.environment import resident_bytes
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.secrecy import conceal_all, texts_in
from autocog_core.doctor.telling import Teller
from autocog_core.load import load


def main() -> None:
    """Tell how far one model gets; each step when it is done."""
    tell = Teller()
    path, name, depth = sys.argv[1:]
    config = read_config(path)
    conceal_all(config)
    try:
        check(config, name)
        tell(checked=True)
        if depth == "load":
            _load(config, name, tell)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is an answer
        problem = Problem.of(error, str(path), f'model "{name}"')
        tell(what=problem.what, mend=problem.mend)
    tell(done=True)


def check(config: Config, name: str) -> None:
    """Check what is written of a model, as `load` does before it loads.

    :raises AutocogError: for a plugin that does not load, or options that are wrong.
    """
    _, model = config.model(name)
    key = f"models.{name}"
    _check(config, plugins.load_class(model.backend), model.options, f"{key}.options")
    for entry in model.wrappers:
        wrapper = plugins.load_class(entry.name, plugins.WRAPPERS)
        _check(config, wrapper, entry.options, f"{key}.wrappers.{entry.name}")
    check_defaults(merged(model.completion), f"{config.source}: {key}.completion")


def _check(config: Config, plugin: type[Any], options: dict[str, Any], key: str) -> None:
    for option, field in getattr(plugin.Options, "model_fields", {}).items():
        if not field.repr:
            for _, value in texts_in(options.get(option)):
                secrets.conceal(value)
    resolved = resolve_secrets(options, where=config.source, key=key)
    validate(plugin.Options, resolved, where=config.source, prefix=key, folder=config.folder)


def _load(config: Config, name: str, tell: Teller) -> None:
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
                "concurrency": info.concurrency,
                "details": info.details,
            }
        )
        # Last: it may read all the weights.
        tell(fingerprint=info.fingerprint)


if __name__ == "__main__":
    main()
