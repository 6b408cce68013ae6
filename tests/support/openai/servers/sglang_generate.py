"""SGLang's /generate: prompts by text or ids, one or several, with log-probabilities.

With `logprob_start_len` s, the entries of the prompt are of its tokens from s on, and the first of
them is never known: to score tokens from position p on, s is p - 1. The prefix cache serves no more
than s tokens. -1, the default, is the last token, so that nothing of the prompt is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Generation, Row, Sampling
from tests.support.openai.servers.replies import Refusal, deltas

MAX_NEW_TOKENS = 128

#: What may be given to each prompt of several.
PER_PROMPT = (
    "sampling_params",
    "return_logprob",
    "logprob_start_len",
    "top_logprobs_num",
    "token_ids_logprob",
)

#: A log-probability (None: minus infinity, or not known), an id, and its text where asked for.
Entry = list[Any]


@dataclass(frozen=True)
class Answer:
    """The reply to one prompt, and what it was made of."""

    reply: dict[str, Any]
    generation: Generation


def error(message: str) -> Refusal:
    """A refusal as /generate sends it."""
    return Refusal(400, {"error": {"message": message}})


def generate(engine: Engine, body: Mapping[str, Any]) -> list[Answer]:
    """The answers to a request, prompt by prompt, `n` each."""
    prompts = _prompts(engine, body)
    answers = []
    for number, prompt in enumerate(prompts):
        one = {
            name: _of(body.get(name), number, nested=name == "token_ids_logprob")
            for name in PER_PROMPT
        }
        one["return_text_in_logprobs"] = bool(body.get("return_text_in_logprobs"))
        answers += _answers(engine, prompt, one)
    return answers


def stream(engine: Engine, answer: Answer) -> Iterator[dict[str, Any]]:
    """The same in chunks; each has the whole text so far."""
    text, count = "", 0
    meta = answer.reply["meta_info"]
    for piece, step in deltas(engine, answer.generation):
        text, count = text + piece, count + (step is not None)
        so_far = {**meta, "finish_reason": None, "completion_tokens": count}
        for name in meta:
            if name.startswith("output_") and isinstance(meta[name], list):
                so_far[name] = meta[name][:count]
        ids = answer.reply["output_ids"][:count]
        yield {"text": text, "output_ids": ids, "meta_info": so_far}
    yield answer.reply


def _prompts(engine: Engine, body: Mapping[str, Any]) -> list[list[int]]:
    text, ids = body.get("text"), body.get("input_ids")
    if (text is None) == (ids is None):
        raise error("Either text, input_ids or input_embeds should be provided.")
    if text is not None:
        prompts = [engine.encode(each) for each in ([text] if isinstance(text, str) else text)]
    else:
        prompts = list(ids) if ids and isinstance(ids[0], list) else [ids or []]
    for prompt in prompts:
        if not prompt:
            raise error("input_ids cannot be empty.")
        if any(not 0 <= token < engine.size for token in prompt):
            raise error(f"The input_ids {prompt} contains values greater than the vocab size.")
    return prompts


def _of(given: Any, number: int, nested: bool = False) -> Any:
    """What prompt `number` is given: its own, where each has one."""
    listed = isinstance(given, list)
    if nested:
        listed = listed and bool(given) and isinstance(given[0], list)
    return given[number] if listed else given


def _answers(engine: Engine, prompt: Sequence[int], one: Mapping[str, Any]) -> list[Answer]:
    sampling = _sampling(one["sampling_params"] or {})
    if len(prompt) + sampling.max_tokens > engine.context_length:
        raise error(
            f"Requested token count exceeds the model's maximum context length of "
            f"{engine.context_length} tokens. You requested a total of "
            f"{len(prompt) + sampling.max_tokens} tokens."
        )
    told = bool(one["return_logprob"])
    start = one["logprob_start_len"]
    start = len(prompt) - 1 if start in (None, -1) or not told else start
    if start >= len(prompt):
        raise error(
            f"logprob_start_len ({start}) is higher than the number of input tokens "
            f"({len(prompt)}). Please use a smaller logprob_start_len."
        )
    named = one["token_ids_logprob"] or None
    if any(not 0 <= token < engine.size for token in named or ()):
        raise error("token_ids_logprob contains values out of the vocabulary.")
    answers: list[Answer] = []
    cached = engine.begin(prompt, start)
    for generation in engine.generate(prompt, sampling):
        if answers:
            # Parallel samples are requests of their own, which find the prompt in the cache.
            cached = engine.begin(prompt, start)
        meta: dict[str, Any] = {
            "id": "1",
            "finish_reason": _reason(generation, sampling),
            "prompt_tokens": len(prompt),
            "completion_tokens": len(generation.steps),
            "cached_tokens": cached,
        }
        if told:
            meta |= _logprobs(engine, prompt, generation, start, {**one, "named": named})
        reply = {"text": generation.text, "output_ids": generation.tokens, "meta_info": meta}
        answers.append(Answer(reply, generation))
    return answers


def structured(given: Mapping[str, Any]) -> str | None:
    """The grammar that constrains the text."""
    if given.get("regex"):
        return constraints.of_regex(given["regex"])
    if given.get("ebnf"):
        return constraints.of_grammar(given["ebnf"])
    return constraints.of_schema(given["json_schema"]) if given.get("json_schema") else None


def _sampling(given: Mapping[str, Any]) -> Sampling:
    stop = given.get("stop") or ()
    grammar = structured(given)
    if message := constraints.problem(grammar):
        raise error(f"Failed to compile the grammar: {message}")
    bias = given.get("logit_bias") or {}
    asked = given.get("max_new_tokens")
    return Sampling(
        max_tokens=MAX_NEW_TOKENS if asked is None else asked,
        temperature=given.get("temperature", 1.0),
        top_p=given.get("top_p", 1.0),
        top_k=max(0, given.get("top_k", -1)),
        min_p=given.get("min_p", 0.0),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        n=given.get("n", 1),
        seed=given.get("sampling_seed"),
        logit_bias={int(token): each for token, each in bias.items()},
        grammar=grammar,
        ignore_eos=bool(given.get("ignore_eos")),
    )


def _reason(generation: Generation, sampling: Sampling) -> dict[str, Any]:
    if generation.finish == "length":
        return {"type": "length", "length": sampling.max_tokens}
    matched = generation.stop if generation.finish == "stop" else generation.tokens[-1]
    return {"type": "stop", "matched": matched}


def _logprobs(
    engine: Engine,
    prompt: Sequence[int],
    generation: Generation,
    start: int,
    one: Mapping[str, Any],
) -> dict[str, Any]:
    texts = one["return_text_in_logprobs"]
    count, named = one["top_logprobs_num"] or 0, one["named"]

    def entry(row: Row | None, token: int) -> Entry:
        logprob = None if row is None else float(row[token])
        if logprob is not None and not math.isfinite(logprob):
            logprob = None
        return [logprob, token, engine.decode([token]) if texts else None]

    def several(row: Row, tokens: Sequence[int]) -> list[Entry]:
        return [entry(row, token) for token in tokens]

    known = list(engine.rows(prompt, start + 1))
    drawn = [step.processed for step in generation.steps]
    if not generation.steps:
        # Nothing is generated, but what would be is known.
        drawn = [engine.model.greedy(list(prompt))]
    found: dict[str, Any] = {
        "input_token_logprobs": [
            entry(None, prompt[start]),
            *(entry(row, token) for token, row in known),
        ],
        "output_token_logprobs": [entry(s.processed, s.token) for s in generation.steps],
    }
    if count:
        tops = [several(row, _top(row, count)) for _, row in known]
        found["input_top_logprobs"] = [None, *tops]
        found["output_top_logprobs"] = [several(row, _top(row, count)) for row in drawn]
    if named:
        found["input_token_ids_logprobs"] = [None, *(several(row, named) for _, row in known)]
        found["output_token_ids_logprobs"] = [several(row, named) for row in drawn]
    return found


def _top(row: Row, count: int) -> list[int]:
    return [int(token) for token in (-row).argsort(kind="stable")[:count]]
