"""Whether the extension in C++ is in use; if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import llama_cpp

from autocog_llamacpp.extension.sources import digest

#: What the installation leaves where the extension could not be built (hatch_build.py).
REASON = "autocog_llamacpp/native_not_built.txt"

#: Where the sources are, in a checkout.
SOURCES = Path(__file__).parents[3] / "native"


@dataclass(frozen=True, slots=True)
class Native:
    """What became of the extension.

    :ivar module: it; None where it is not to be used. `reason`: the reason for that.
    """

    module: Any
    reason: str = ""


@cache
def native() -> Native:
    """The extension, if there is one for the llama.cpp that is installed."""
    try:
        module = import_module("autocog_llamacpp._native")
    except ModuleNotFoundError:
        return Native(None, "it was not built" + _reason())
    except ImportError as error:
        return Native(None, f"it cannot be loaded: {error}")
    built, there = module.BUILT_FOR, llama_cpp.__version__
    if built != there:
        return Native(
            None,
            f"it was built for llama-cpp-python {built}, and {there} is installed: "
            "install autocog-llamacpp again",
        )
    sources = digest(SOURCES)
    if module.SOURCES and sources and sources != module.SOURCES:
        return Native(
            None,
            "it was built from other sources than those that stand beside its Python: "
            "install autocog-llamacpp again",
        )
    return Native(module)


def _reason() -> str:
    # Beside the metadata, also where the package itself is somewhere else (editable).
    note = Path(str(distribution("autocog-llamacpp").locate_file(REASON)))
    return f": {note.read_text('utf-8').strip()}" if note.is_file() else ""
