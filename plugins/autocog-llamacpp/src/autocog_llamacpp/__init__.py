"""The autocog backend for llama.cpp. Importing it does not import llama_cpp."""

from __future__ import annotations

from importlib.metadata import version

from autocog_core.toolkit import wait_briefly
from autocog_llamacpp.backend import LLaMa
from autocog_llamacpp.options import LlamaOptions

# Before llama_cpp is imported: it brings OpenMP.
wait_briefly()

__version__ = version("autocog-llamacpp")

__all__ = ["LLaMa", "LlamaOptions", "__version__"]
