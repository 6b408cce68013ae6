"""The pipeline "thought-automaton": a program on rows of inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autocog_core import AutocogError, Automaton, InputError, ThoughtTree
from autocog_core.dataset import make_output_row
from autocog_tf.pipelines.base import AutocogPipeline, reject_unknown_options
from autocog_tf.pipelines.rows import error_at_row

Answer = dict[str, Any]

#: What a row's dict has of its record, beside the fields and the probability.
RESULT_KEYS = ("probs", "margin", "logprob", "tokens_evaluated", "stopped_by")


class ThoughtAutomatonPipeline(AutocogPipeline):
    """Runs an automaton on rows, each a dict of its inputs, and gives a dict for each.

    - `record`: the texts of the best path's named actions.
    - `score`: the product of the probabilities of its choices among their siblings; `probs`: of
      each named one. `margin`, `logprob`, `tokens`, `stopped`: as `autocog run` writes them.
    - `tree`: the whole tree as plain data; `ThoughtTree.from_dict` makes an object of it.

    `batch_size` rows are at work at once: what they ask goes through the model together, and a row
    that has ended makes place for the next.
    """

    def _sanitize_parameters(self, **given: Any) -> tuple[Answer, Answer, Answer]:
        reject_unknown_options(given, ("program", "budget"))
        forward: Answer = {name: given[name] for name in ("program", "budget") if name in given}
        if "program" in given:
            forward["program"] = _automaton(given["program"])
        return {}, forward, {}

    def preprocess(self, input_: Any) -> Mapping[str, Any]:
        """A row as it is.

        :raises InputError: for what is no dict.
        """
        if not isinstance(input_, Mapping):
            raise InputError(
                f"got {type(input_).__name__}", where="inputs", hint='give {"name": value, ...}'
            )
        return input_

    def _forward(self, model_inputs: Any) -> Any:
        """Never called: rows do not wait for one another, as they would in batches."""
        raise NotImplementedError

    def postprocess(self, model_outputs: tuple[Automaton, int, ThoughtTree]) -> Answer:
        """A tree as plain data."""
        automaton, row, tree = model_outputs
        record = make_output_row(row, automaton, tree)
        figures = {name: record[name] for name in RESULT_KEYS}
        return {
            "record": record["fields"],
            "score": record["prob"],
            **figures,
            "tree": tree.to_dict(),
        }

    def _results(
        self,
        prepared: Iterator[Mapping[str, Any]],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Answer]:
        automaton = forward_params.get("program")
        if automaton is None:
            raise InputError(
                "there is none", where="program", hint='give program="file.yaml" or an Automaton'
            )
        found = automaton.run_many(
            self.language_model,
            prepared,
            budget=forward_params.get("budget"),
            concurrency=batch_size,
        )
        for number, result in enumerate(found):
            if isinstance(result, AutocogError):
                raise error_at_row(number, result)
            try:
                answer = self.postprocess((automaton, number, result), **postprocess_params)
            except InputError as error:
                raise error_at_row(number, error) from error.__cause__
            yield answer


def _automaton(program: Automaton | str | Path | Mapping[str, Any]) -> Automaton:
    match program:
        case Automaton():
            return program
        case str() | Path():
            return Automaton.from_file(program)
        case Mapping():
            return Automaton.from_dict(program)
    raise InputError(
        f"got {type(program).__name__}", where="program", hint="give a file or an Automaton"
    )
