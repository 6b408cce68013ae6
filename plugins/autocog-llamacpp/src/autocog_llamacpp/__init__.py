"""The autocog backend for llama.cpp. Importing it does not import llama_cpp."""

from __future__ import annotations

from importlib.metadata import version

from autocog_llamacpp.backend import LLaMa
from autocog_llamacpp.options import LlamaOptions

__version__ = version("autocog-llamacpp")

__all__ = ["LLaMa", "LlamaOptions", "__version__"]
