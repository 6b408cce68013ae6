"""Loads the C++ extension, or states why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import llama_cpp

from autocog_llamacpp.extension.sources import digest_sources

#: The file in which the installation states why it built no extension (hatch_build.py).
REASON_FILE = "autocog_llamacpp/native_not_built.txt"

#: The C++ sources, in a checkout.
SOURCE_DIR = Path(__file__).parents[3] / "native"


@dataclass(frozen=True, slots=True)
class Extension:
    """The C++ extension.

    :ivar module: the module; None if it cannot be used.
    :ivar reason: why it cannot be used.
    """

    module: Any
    reason: str = ""


@cache
def load_extension() -> Extension:
    """Load the extension, and check that it fits the installed llama.cpp and its own sources."""
    try:
        module = import_module("autocog_llamacpp._native")
    except ModuleNotFoundError:
        return Extension(None, "it was not built" + _build_failure())
    except ImportError as error:
        return Extension(None, f"it cannot be loaded: {error}")
    built_for, installed = module.BUILT_FOR, llama_cpp.__version__
    if built_for != installed:
        return Extension(
            None,
            f"it was built for llama-cpp-python {built_for}, and {installed} is installed: "
            "reinstall autocog-llamacpp",
        )
    sources = digest_sources(SOURCE_DIR)
    if module.SOURCES_DIGEST and sources and sources != module.SOURCES_DIGEST:
        return Extension(None, "its sources are newer than its build: reinstall autocog-llamacpp")
    return Extension(module)


def _build_failure() -> str:
    # The path is relative to the metadata: an editable package is in another folder.
    path = Path(str(distribution("autocog-llamacpp").locate_file(REASON_FILE)))
    return f": {path.read_text('utf-8').strip()}" if path.is_file() else ""
