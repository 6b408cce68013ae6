"""The pipeline "token-choice": exact scores of choices that continue a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from autocog_core import (
    ChoiceRequest,
    ChoiceScores,
    EndOfSequence,
    InputError,
    Norm,
    Prompt,
    TopChoices,
)
from autocog_core.scoring import SCORE_FIELD_OF_NORM, TokenChoiceTree
from autocog_tf.pipelines.base import AutocogPipeline, reject_unknown_arguments
from autocog_tf.pipelines.rows import as_prompt_row

Result = dict[str, Any]

TOP_ARGUMENTS = ("top", "within", "at_least")
REQUEST_ARGUMENTS = ("choices", "norm", "suffix", "boundary", "unconditional_prompt")
#: Without `top_k` a row returns a dict; None means all choices.
UNSET: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRow:
    """A row's request, and its choices as a tree of tokens."""

    request: ChoiceRequest
    tree: TokenChoiceTree


class TokenChoicePipeline(AutocogPipeline):
    """Computes exact scores of strings that continue a prompt.

    A row is a prompt, a list of messages, or a dict with "prompt" or "messages", whose "choices"
    replace those of the pipeline. It returns a dict, the best choice; with `top_k`, a list of
    dicts, best first:

    - `label`, `index`: the choice, and its index among the given choices.
    - `score`: its probability among the choices, by `norm`.
    - `logprob`: log-probability of its tokens.
    - `exclusive_logprob`, `mean_logprob`, `logprob_per_byte`, and `pmi` with `norm="pmi"`: as in
      `autocog_core.ChoiceScore`.

    With `top=k`, it reads only the part of the token tree that proves the k best choices, and
    returns a list of their dicts, best first. `score` is then None unless the whole tree was read,
    and `score_bounds` has the lowest and the highest value that it can have. `within` and
    `at_least` read on, as in `autocog_core.Model.choose`; `is_at_least` answers the latter.
    """

    def _sanitize_parameters(self, **arguments: Any) -> tuple[Result, Result, Result]:
        reject_unknown_arguments(arguments, (*REQUEST_ARGUMENTS, *TOP_ARGUMENTS, "top_k"))
        post = {}
        forward = {name: arguments[name] for name in TOP_ARGUMENTS if name in arguments}
        if "top_k" in arguments and forward.get("top") is not None:
            raise InputError(
                "cannot be combined with top", where="top_k", hint="top alone is the number"
            )
        if "top_k" in arguments:
            post["top_k"] = _check_top_k(arguments["top_k"])
        request = {name: arguments[name] for name in REQUEST_ARGUMENTS if name in arguments}
        return request, forward, post

    def preprocess(
        self,
        input_: Any,
        choices: Sequence[str] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        unconditional_prompt: str | None = None,
    ) -> PreparedRow:
        """Return the row's request and token tree.

        :raises InputError: for a row without prompt or choices, and for what `choose` rejects.
        """
        model = self.language_model
        row = as_prompt_row(input_, '{"prompt": ..., "choices": [...]}')
        prompt: Any = row.get("prompt")
        messages: Any = row.get("messages")
        row_choices = row.get("choices")
        if (prompt is None) == (messages is None):
            raise InputError("give either a prompt or messages", where="prompt")
        if boundary not in ("heal", "strict"):
            raise InputError(f"got {boundary!r}", where="boundary", hint='give "heal" or "strict"')
        request = ChoiceRequest(
            prompt=Prompt.of(prompt) if prompt is not None else model.chat_prompt(messages),
            choices=_as_choices(choices if row_choices is None else row_choices),
            norm=norm,
            suffix=suffix or None,
            boundary=boundary,
            unconditional_prompt=unconditional_prompt,
        )
        return PreparedRow(request=request, tree=TokenChoiceTree.build(model.client, request))

    def _forward(
        self,
        model_inputs: Mapping[str, Sequence[PreparedRow]],
        top: int | None = None,
        within: float | None = None,
        at_least: float | None = None,
    ) -> Result:
        """Return the scores of several rows, whose trees are evaluated together."""
        client = self.language_model.client
        rows = model_inputs["rows"]
        if top is not None or within is not None or at_least is not None:
            return {"scores": self._best_choices(rows, top, within, at_least)}
        queries = [row.tree.to_queries() for row in rows]
        answers = iter(client.greedy_tree([query for group in queries for query in group]))
        return {
            "scores": [
                row.tree.scores_from(client, row.request, [next(answers) for _ in group])
                for row, group in zip(rows, queries, strict=True)
            ]
        }

    def _best_choices(
        self,
        rows: Sequence[PreparedRow],
        top: int | None,
        within: float | None,
        at_least: float | None,
    ) -> list[TopChoices]:
        """Return the best choices of several rows. Each step of all of them is one forward."""
        by_request: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            request = row.request
            options = (request.norm, request.suffix, request.boundary, request.unconditional_prompt)
            by_request.setdefault(options, []).append(index)
        results: dict[int, TopChoices] = {}
        # Its overloads take a number; without one, it raises a clear error.
        choose_many: Any = self.language_model.choose_many
        for (norm, suffix, boundary, unconditional_prompt), indices in by_request.items():
            best = choose_many(
                [rows[index].request.prompt for index in indices],
                [rows[index].request.choices for index in indices],
                norm=norm,
                suffix=suffix,
                boundary=boundary,
                unconditional_prompt=unconditional_prompt,
                top=top,
                within=within,
                at_least=at_least,
            )
            results.update(zip(indices, best, strict=True))
        return [results[index] for index in range(len(rows))]

    def postprocess(
        self, model_outputs: ChoiceScores | TopChoices, top_k: int | None = UNSET
    ) -> Result | list[Result]:
        """Return the dict of the best choice, or with `top_k` a list of dicts, best first."""
        if isinstance(model_outputs, TopChoices):
            return _top_results(model_outputs)
        field = SCORE_FIELD_OF_NORM[model_outputs.norm]
        scores = model_outputs.scores
        # Sort by the score itself: probabilities of two choices may round to the same number.
        order = sorted(range(len(scores)), key=lambda index: -getattr(scores[index], field))
        if top_k is UNSET:
            return _choice_result(model_outputs, order[0])
        return [_choice_result(model_outputs, index) for index in order[:top_k]]

    def _results(
        self,
        prepared: Iterator[PreparedRow],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Any]:
        while rows := list(islice(prepared, batch_size)):
            for scores in self.forward({"rows": rows}, **forward_params)["scores"]:
                yield self.postprocess(scores, **postprocess_params)


def _as_choices(choices: Any) -> tuple[str, ...]:
    if choices is None:
        hint = 'give choices=[...], or "choices" in each row'
        raise InputError("there are none", where="choices", hint=hint)
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        type_label = "one string" if isinstance(choices, str) else type(choices).__name__
        raise InputError(f"got {type_label}", where="choices", hint="give a list of strings")
    return tuple(choices)


def _check_top_k(top_k: Any) -> int | None:
    if top_k is None or (isinstance(top_k, int) and top_k >= 1):
        return top_k
    raise InputError(
        f"{top_k!r} is not a number of choices", where="top_k", hint="give 1 or more; None for all"
    )


def _choice_result(scores: ChoiceScores, index: int) -> Result:
    score = scores.scores[index]
    result = {
        "label": score.choice,
        "score": score.prob,
        "logprob": score.logprob,
        "index": index,
        "exclusive_logprob": score.exclusive_logprob,
        "mean_logprob": score.mean_logprob,
        "logprob_per_byte": score.logprob_per_byte,
    }
    return result if score.pmi is None else {**result, "pmi": score.pmi}


def _top_results(best: TopChoices) -> list[Result]:
    results = []
    for choice in best.top:
        result: Result = {
            "label": choice.choice,
            "score": choice.prob,
            "score_bounds": choice.prob_bounds,
            "logprob": choice.logprob,
            "index": choice.index,
            "exclusive_logprob": choice.exclusive_logprob,
            "mean_logprob": choice.mean_logprob,
            "logprob_per_byte": choice.logprob_per_byte,
        }
        if choice.pmi is not None:
            result["pmi"] = choice.pmi
        results.append(result)
    if best.is_at_least is not None:
        results[0]["is_at_least"] = best.is_at_least
    return results
