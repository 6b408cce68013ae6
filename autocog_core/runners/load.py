"""Find a runner by its name, and make it with its options."""

from __future__ import annotations

from typing import Any

from autocog_core.config import plugins
from autocog_core.config.options import validate
from autocog_core.errors import AUTHOR_HINT, AutocogError, PluginBrokenError
from autocog_core.runners.runner import Runner


def load_runner(name: str, **options: Any) -> Runner:
    """Return the runner of a name.

    :param name: the name of its entry point: "local", "shards", or that of a plugin.
    :param options: its options.
    :raises PluginError: if it is not installed, or cannot be used.
    :raises ConfigError: for options that it does not have, or wrong values.
    """
    runner_class = plugins.load_class(name, plugins.RUNNERS)
    where = f'runner "{name}"'
    valid = validate(runner_class.Options, options, where=where)
    try:
        runner = runner_class(**{key: getattr(valid, key) for key in valid.model_fields_set})
    except AutocogError:
        raise
    except Exception as error:
        raise PluginBrokenError(
            f"its constructor raised {type(error).__name__}: {error}", where=where, hint=AUTHOR_HINT
        ) from error
    if not isinstance(runner, Runner):
        raise PluginBrokenError("is no subclass of Runner", where=where, hint=AUTHOR_HINT)
    return runner
