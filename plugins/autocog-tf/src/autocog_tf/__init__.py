"""autocog backend for Hugging Face Transformers. Importing it does not import torch."""

from __future__ import annotations

from autocog_tf.backend import TfLM, TfOptions
from autocog_tf.version import __version__

__all__ = ["TfLM", "TfOptions", "__version__"]
