"""What the pipelines have in common: the engine over Transformers' model, and rows in and out."""

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
from autocog_tf.pipelines.rows import Results, data_set, is_one_row, without_errors

# Its own annotations know tensors only.
_Pipeline: Any = Pipeline


class AutocogPipeline(_Pipeline):  # type: ignore[misc]
    """A pipeline whose rows are computed by autocog, on the model that Transformers has loaded.

    :param prefix_cache_bytes: bytes of keys and values kept between calls.
    :ivar language_model: the same model with all that autocog offers: `choose`, `complete` ...
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
        """The result of one row; a list of results for a list of rows; else an iterator of them.

        :raises InputError: for a row or an argument that is wrong, saying which.
        """
        if args:
            hint = "give arguments by their names"
            raise InputError("got more than the rows", where="inputs", hint=hint)
        given = self._sanitize_parameters(**kwargs)
        own = (self._preprocess_params, self._forward_params, self._postprocess_params)
        parameters = [{**held, **new} for held, new in zip(own, given, strict=True)]
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
        """The result of one row."""
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
        """The results of several rows, in their order, computed as they are asked for."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"{batch_size} is no number of rows", where="batch_size")
        rows = data_set(inputs, lambda row: self.preprocess(row, **preprocess_params))
        # Several workers would each bring all that is streamed.
        workers = min(num_workers, 1) if isinstance(rows, IterableDataset) else num_workers
        loader: Iterable[Any] = DataLoader(
            rows,
            batch_size=None,
            num_workers=workers,
            # Rows need no copy on their way, and what makes them cannot be sent to a new process.
            collate_fn=_identity,
            multiprocessing_context="fork" if workers else None,
        )
        prepared = without_errors(loader)
        found = self._results(prepared, batch_size, forward_params, postprocess_params)
        return Results(found, len(inputs) if isinstance(inputs, Sized) else None)

    def _results(
        self,
        prepared: Iterator[Any],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Any]:
        """The results of prepared rows; `batch_size` of them are taken at once."""
        raise NotImplementedError

    def get_inference_context(self) -> Any:
        """Nothing is differentiated."""
        return torch.inference_mode


#: What is Transformers' own, and comes with the others.
_FOREIGN = {"local_files_only"}


def reject_unknown_options(given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse arguments that a pipeline has not.

    :raises InputError: naming the first of them.
    """
    for name in given:
        if name not in known and name not in _FOREIGN:
            raise InputError("is no argument", where=name, hint=did_you_mean(name, known))


def _identity(row: Any) -> Any:
    return row
