"""autocog backend for Hugging Face Transformers. Importing it does not import torch."""

from __future__ import annotations

from importlib.metadata import version

from autocog_core.toolkit import wait_briefly
from autocog_tf.backend import TfLM
from autocog_tf.options import TfOptions

# Before torch is imported: it brings OpenMP.
wait_briefly()

__version__ = version("autocog-tf")

__all__ = ["TfLM", "TfOptions", "__version__"]
