"""TfLM: the hooks of a backend over one engine. PyTorch is imported when an engine is loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autocog_core import Completion, CompletionRequest, EngineLM
from autocog_tf.forks import require_own_threads
from autocog_tf.options import TfOptions

if TYPE_CHECKING:
    from autocog_tf.engine import TfEngine


class TfLM(EngineLM["TfEngine"]):
    """A causal language model of Transformers.

    `created = TfLM.create(model_path="gpt2-medium", device="cpu")` loads an engine once;
    `TfLM(**created, completion_kwargs={"max_new_tokens": 20})` wraps it, as often as needed: all
    backends on it share the weights, the lock and the prefix cache.

    :param engine: the engine that `create` loaded, or a `TfEngine` over your model and tokenizer.
    """

    BACKEND = "tf"
    Options = TfOptions

    @classmethod
    def load_engine(cls, options: Any) -> TfEngine:
        require_own_threads()
        is_new = "torch" not in sys.modules
        from autocog_tf.loading import load_engine
        from autocog_tf.threads import set_thread_count

        set_thread_count(options.n_threads, is_new=is_new)
        return load_engine(options)

    def complete_impl(self, request: CompletionRequest) -> Completion:
        from autocog_tf.generation import generate

        return generate(self.engine, self.prompt_tokens(request), request)
