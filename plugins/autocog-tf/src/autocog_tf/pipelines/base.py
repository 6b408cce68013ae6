"""The base class of the pipelines: an engine over the pipeline's model, and rows in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import Pipeline

from autocog_core import InputError, Model
from autocog_core.toolkit import did_you_mean
from autocog_tf.backend import TfLM
from autocog_tf.engine import TfEngine
from autocog_tf.pipelines.rows import Results, is_one_row, make_dataset, raise_errors

# The annotations of Transformers allow tensors only.
_Pipeline: Any = Pipeline

#: Transformers passes this argument of `pipeline` on to every pipeline.
_TRANSFORMERS_ARGUMENTS = {"local_files_only"}


class AutocogPipeline(_Pipeline):  # type: ignore[misc]
    """A Transformers pipeline that computes its rows with autocog, on the model that is loaded.

    :param prefix_cache_bytes: largest size of the keys and values that are cached between calls.
    :ivar language_model: the same model with the methods of autocog: `choose`, `complete` ...
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args: Any, prefix_cache_bytes: int = 1 << 30, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.tokenizer is None:
            raise InputError(
                "there is none", where="tokenizer", hint="give tokenizer= with the model"
            )
        engine = TfEngine(self.model, self.tokenizer, prefix_cache_bytes=prefix_cache_bytes)
        self.language_model: Model = TfLM(engine=engine).as_model()

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        num_workers: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the result of one row, a list for a list of rows, or an iterator for others.

        :param inputs: a row, a list of rows, a data set or a generator.
        :param num_workers: number of processes that read and tokenize rows.
        :param batch_size: number of rows that run together.
        :raises InputError: for an invalid row or argument, with its name.
        """
        if args:
            raise InputError(
                "got more than the rows", where="inputs", hint="give other arguments by name"
            )
        defaults = (self._preprocess_params, self._forward_params, self._postprocess_params)
        overrides = self._sanitize_parameters(**kwargs)
        parameters = [{**old, **new} for old, new in zip(defaults, overrides, strict=True)]
        if is_one_row(inputs):
            return self.run_single(inputs, *parameters)
        workers = self._num_workers if num_workers is None else num_workers
        batch = self._batch_size if batch_size is None else batch_size
        batch = 1 if batch is None else batch
        results = self.get_iterator(inputs, workers or 0, batch, *parameters)
        return list(results) if isinstance(inputs, list | tuple) else results

    def run_single(
        self,
        inputs: Any,
        preprocess_params: Mapping[str, Any],
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Any:
        """Return the result of one row."""
        prepared = iter([self.preprocess(inputs, **preprocess_params)])
        return next(self._results(prepared, 1, forward_params, postprocess_params))

    def get_iterator(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: Mapping[str, Any],
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Results:
        """Return an iterator of the results of several rows, in their order."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"{batch_size} is not a number of rows", where="batch_size")
        rows = make_dataset(inputs, lambda row: self.preprocess(row, **preprocess_params))
        # Each of several workers would read the whole stream.
        workers = min(num_workers, 1) if isinstance(rows, IterableDataset) else num_workers
        client = self.language_model.client
        # Workers cannot ask for it.
        client.info  # noqa: B018
        loader: Iterable[Any] = DataLoader(
            rows,
            batch_size=None,
            num_workers=workers,
            # By default torch would convert rows to tensors.
            collate_fn=_identity,
            # A new process could not unpickle the function that prepares rows.
            multiprocessing_context="fork" if workers else None,
            worker_init_fn=lambda _: client.tokenize_in_fork(),
        )
        prepared = raise_errors(loader)
        results = self._results(prepared, batch_size, forward_params, postprocess_params)
        return Results(results, len(inputs) if isinstance(inputs, Sized) else None)

    def _results(
        self,
        prepared: Iterator[Any],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Any]:
        """Yield the results of prepared rows; `batch_size` of them run together."""
        raise NotImplementedError

    def get_inference_context(self) -> Any:
        """Return the context of forwards: no gradients."""
        return torch.inference_mode


def reject_unknown_arguments(arguments: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise if `arguments` has names that the pipeline does not know.

    :raises InputError: naming the first of them.
    """
    for name in arguments:
        if name not in known and name not in _TRANSFORMERS_ARGUMENTS:
            raise InputError("unknown argument", where=name, hint=did_you_mean(name, known))


def _identity(row: Any) -> Any:
    return row
