"""autocog backend for OpenAI's API and compatible servers. The import does not import openai."""

from __future__ import annotations

from importlib.metadata import version

from autocog_openai.backend import OpenAI
from autocog_openai.connection.options import OpenAIOptions

__version__ = version("autocog-openai")

__all__ = ["OpenAI", "OpenAIOptions", "__version__"]
