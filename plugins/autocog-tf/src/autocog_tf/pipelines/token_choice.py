"""The pipeline "token-choice": exact scores of choices that continue a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from transformers.utils.chat_template_utils import Chat

from autocog_core import ChoiceRequest, ChoiceScores, EndOfSequence, InputError, Norm, Prompt
from autocog_core.scoring import SCORE_FIELD_OF_NORM, TokenChoiceTree
from autocog_tf.pipelines.base import AutocogPipeline, reject_unknown_options
from autocog_tf.pipelines.rows import is_chat

Answer = dict[str, Any]

REQUEST_ARGUMENTS = ("choices", "norm", "suffix", "boundary", "unconditional_prompt")
UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row's request, and its choices as a tree of tokens."""

    request: ChoiceRequest
    tree: TokenChoiceTree


class TokenChoicePipeline(AutocogPipeline):
    """Scores strings that continue a prompt, exactly.

    A row is a prompt, a list of messages, or a dict with "prompt" or "messages", and "choices" of
    its own. Each gives one dict, the best choice; with `top_k`, a list of dicts, best first:

    - `label`: the choice. `index`: its number among the choices given.
    - `score`: its probability among the choices, by the norm asked for.
    - `logprob`: log-probability of its tokens; `exclusive_logprob`, `mean_logprob`,
      `logprob_per_byte`, and `pmi` where asked for, as in `autocog_core.ChoiceScore`.
    """

    def _sanitize_parameters(self, **given: Any) -> tuple[Answer, Answer, Answer]:
        reject_unknown_options(given, (*REQUEST_ARGUMENTS, "top_k"))
        post = {}
        if "top_k" in given:
            post["top_k"] = _checked_top_k(given["top_k"])
        return {name: given[name] for name in REQUEST_ARGUMENTS if name in given}, {}, post

    def preprocess(
        self,
        input_: Any,
        choices: Sequence[str] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        unconditional_prompt: str | None = None,
    ) -> Prepared:
        """A row as tokens.

        :raises InputError: for a row without a prompt or choices, and what `choose` refuses.
        """
        model = self.language_model
        row = _row(input_)
        prompt: Any = row.get("prompt")
        messages: Any = row.get("messages")
        own = row.get("choices")
        if (prompt is None) == (messages is None):
            raise InputError("give either a prompt or messages", where="prompt")
        if boundary not in ("heal", "strict"):
            raise InputError(f"{boundary!r}", where="boundary", hint='give "heal" or "strict"')
        request = ChoiceRequest(
            prompt=Prompt.of(prompt) if prompt is not None else model.chat_prompt(messages),
            choices=_listed(choices if own is None else own),
            norm=norm,
            suffix=suffix or None,
            boundary=boundary,
            unconditional_prompt=unconditional_prompt,
        )
        return Prepared(request, TokenChoiceTree.build(model.client, request))

    def _forward(self, model_inputs: Mapping[str, Sequence[Prepared]]) -> Answer:
        """All trees of several rows, evaluated together."""
        client = self.language_model.client
        rows = model_inputs["rows"]
        queries = [row.tree.to_queries() for row in rows]
        answers = iter(client.greedy_tree([query for group in queries for query in group]))
        return {
            "scores": [
                row.tree.scores_from(client, row.request, [next(answers) for _ in group])
                for row, group in zip(rows, queries, strict=True)
            ]
        }

    def postprocess(
        self, model_outputs: ChoiceScores, top_k: int | None = UNSET
    ) -> Answer | list[Answer]:
        """One dict, or with `top_k` a list of dicts, best first; None: of all choices."""
        found = model_outputs
        field = SCORE_FIELD_OF_NORM[found.norm]
        # By the score itself: probabilities of two choices may round to the same number.
        order = sorted(
            range(len(found.scores)), key=lambda index: -getattr(found.scores[index], field)
        )
        if top_k is UNSET:
            return _answer(found, order[0])
        return [_answer(found, index) for index in order[:top_k]]

    def _results(
        self,
        prepared: Iterator[Prepared],
        batch_size: int,
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[Any]:
        while rows := list(islice(prepared, batch_size)):
            for scores in self.forward({"rows": rows}, **forward_params)["scores"]:
                yield self.postprocess(scores, **postprocess_params)


def _row(given: Any) -> Mapping[str, Any]:
    """A row as a dict with a prompt or messages."""
    if isinstance(given, Chat):
        return {"messages": given.messages}
    if is_chat(given):
        return {"messages": given}
    if not isinstance(given, Mapping):
        return {"prompt": given}
    if {"prompt", "messages"} & set(given):
        return given
    raise InputError(
        f"has neither prompt nor messages but {', '.join(map(repr, given)) or 'nothing'}",
        where="prompt",
        hint='give {"prompt": ..., "choices": [...]}, or the column that holds the prompts',
    )


def _listed(choices: Any) -> tuple[str, ...]:
    if choices is None:
        hint = 'give choices=[...], or "choices" in each row'
        raise InputError("there are none", where="choices", hint=hint)
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        what = "one string" if isinstance(choices, str) else type(choices).__name__
        raise InputError(f"got {what}", where="choices", hint="give a list of strings")
    return tuple(choices)


def _checked_top_k(top_k: Any) -> int | None:
    if top_k is None or (isinstance(top_k, int) and top_k >= 1):
        return top_k
    raise InputError(
        f"{top_k!r} is no number of choices", where="top_k", hint="1 or more; None for all"
    )


def _answer(found: ChoiceScores, index: int) -> Answer:
    score = found.scores[index]
    answer = {
        "label": score.choice,
        "score": score.prob,
        "logprob": score.logprob,
        "index": index,
        "exclusive_logprob": score.exclusive_logprob,
        "mean_logprob": score.mean_logprob,
        "logprob_per_byte": score.logprob_per_byte,
    }
    return answer if score.pmi is None else {**answer, "pmi": score.pmi}
