"""The pipeline "thought-automaton": a program on rows of inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autocog_core import AutocogError, Automaton, InputError, ThoughtTree
from autocog_core.dataset import make_output_row
from autocog_tf.pipelines.base import AutocogPipeline, reject_unknown_arguments
from autocog_tf.pipelines.rows import error_at_row

Result = dict[str, Any]

ARGUMENTS = ("program", "budget", "probs")
#: Keys of an output row of `autocog run` that a result has unchanged.
RESULT_KEYS = ("probs", "margin", "logprob", "tokens_evaluated", "stopped_by")


class ThoughtAutomatonPipeline(AutocogPipeline):
    """Runs an automaton on rows, each a dict of its inputs.

    It returns a dict for each row:

    - `record`: the values of the named actions on the best path.
    - `score`: the product of the probabilities of its choices among their siblings.
    - `probs`: the probability of each named choice.
    - `margin`, `logprob`, `tokens_evaluated`, `stopped_by`: as in the output of `autocog run`.
    - `prob_bounds`: with `probs="winner"`, or for actions with `top`, the lowest and the highest
      value of each probability; `score` is then None unless all of them are known.
    - `tree`: the whole tree as plain data, for `ThoughtTree.from_dict`.

    `batch_size` rows run at the same time, and each step of all rows goes through the model
    together. When a row ends, the next row starts.
    """

    def _sanitize_parameters(self, **arguments: Any) -> tuple[Result, Result, Result]:
        reject_unknown_arguments(arguments, ARGUMENTS)
        forward: Result = {name: arguments[name] for name in ARGUMENTS if name in arguments}
        if "program" in forward:
            forward["program"] = _load_automaton(forward["program"])
        return {}, forward, {}

    def preprocess(self, input_: Any) -> Mapping[str, Any]:
        """Return the row unchanged.

        :raises InputError: if it is not a dict.
        """
        if not isinstance(input_, Mapping):
            raise InputError(
                f"got {type(input_).__name__}", where="inputs", hint='give {"name": value, ...}'
            )
        return input_

    def _forward(self, model_inputs: Any) -> Any:
        """Not called: `_results` runs the rows, which do not wait for a batch."""
        raise NotImplementedError

    def postprocess(self, model_outputs: tuple[int, ThoughtTree]) -> Result:
        """Return the result of a row, given its index and its tree."""
        row, tree = model_outputs
        record = make_output_row(row, tree)
        return {
            "record": record["fields"],
            "score": record["prob"],
            **{key: record[key] for key in (*RESULT_KEYS, "prob_bounds") if key in record},
            "tree": tree.to_dict(),
        }

    def _results(
        self,
        prepared: Iterator[Mapping[str, Any]],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Result]:
        automaton = forward_params.get("program")
        if automaton is None:
            raise InputError(
                "there is none", where="program", hint='give program="file.yaml" or an Automaton'
            )
        outcomes = automaton.run_many(
            self.language_model,
            prepared,
            budget=forward_params.get("budget"),
            concurrency=batch_size,
            probs=forward_params.get("probs", "all"),
        )
        for row_index, outcome in enumerate(outcomes):
            if isinstance(outcome, AutocogError):
                raise error_at_row(row_index, outcome)
            try:
                result = self.postprocess((row_index, outcome), **postprocess_params)
            except InputError as error:
                raise error_at_row(row_index, error) from error.__cause__
            yield result


def _load_automaton(program: Automaton | str | Path | Mapping[str, Any]) -> Automaton:
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
