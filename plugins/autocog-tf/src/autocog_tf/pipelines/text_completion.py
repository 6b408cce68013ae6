"""The pipeline "text-completion": texts with their log-probabilities, constrained or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autocog_core import AutocogError, InputError, Prompt
from autocog_tf.pipelines.base import AutocogPipeline, reject_unknown_arguments
from autocog_tf.pipelines.rows import as_prompt_row, error_at_row

Result = dict[str, Any]

ARGUMENTS = (
    *("max_tokens", "stop", "temperature", "top_p", "top_k", "min_p", "seed", "n"),
    *("regex", "grammar", "json_schema"),
)


class TextCompletionPipeline(AutocogPipeline):
    """Continues prompts, and returns the log-probability of every token.

    A row is a prompt, a list of messages, or a dict with "prompt" or "messages". It returns a dict,
    as `autocog_core.Completion.to_dict`: `text`, `finish_reason`, `logprob`, and with a constraint
    (`regex`, `grammar` or `json_schema`) `constrained_logprob`.

    The rows run one after the other, whatever `batch_size` is.
    """

    def _sanitize_parameters(self, **arguments: Any) -> tuple[Result, Result, Result]:
        # What other pipelines of Transformers call it.
        if "max_new_tokens" in arguments:
            arguments["max_tokens"] = arguments.pop("max_new_tokens")
        reject_unknown_arguments(arguments, ARGUMENTS)
        return {}, arguments, {}

    def preprocess(self, input_: Any) -> Prompt:
        """Return the row's prompt.

        :raises InputError: for a row without a prompt.
        """
        row = as_prompt_row(input_, '{"prompt": ...}')
        prompt: Any = row.get("prompt")
        messages: Any = row.get("messages")
        if (prompt is None) == (messages is None):
            raise InputError("give either a prompt or messages", where="prompt")
        return Prompt.of(prompt) if messages is None else self.language_model.chat_prompt(messages)

    def _forward(self, model_inputs: Any) -> Any:
        """Not called: `_results` completes the rows."""
        raise NotImplementedError

    def postprocess(self, model_outputs: Any) -> Result:
        """Return the result of a row, given its completion."""
        result: Result = model_outputs.to_dict()
        return result

    def _results(
        self,
        prepared: Iterator[Prompt],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Result]:
        for row_index, prompt in enumerate(prepared):
            try:
                completion = self.language_model.complete(prompt, **forward_params)
            except AutocogError as error:
                raise error_at_row(row_index, error) from error.__cause__
            yield self.postprocess(completion, **postprocess_params)
