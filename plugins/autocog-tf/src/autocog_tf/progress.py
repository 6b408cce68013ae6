"""Progress bars of Transformers: off during loading, which logs its progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Disable progress bars inside the context; restore the setting after it."""
    is_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    # Its bar does not heed the setting.
    gguf_reader: Any = modeling_gguf_pytorch_utils
    gguf_bar = getattr(gguf_reader, "tqdm", None)
    if gguf_bar is not None:
        gguf_reader.tqdm = partial(gguf_bar, disable=True)
    try:
        yield
    finally:
        if gguf_bar is not None:
            gguf_reader.tqdm = gguf_bar
        if is_enabled:
            logging.enable_progress_bar()
