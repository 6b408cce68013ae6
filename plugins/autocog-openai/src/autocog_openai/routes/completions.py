"""/v1/completions: a prompt is continued as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.connection.scorer import clean, token_id
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.streamed_completion import Part, Told
from autocog_openai.routes.writer import sampling

EXTRA = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "user", "repetition_penalty"),
    *("best_of", "guided_regex", "structured_outputs", "min_tokens", "ignore_eos"),
)


def listing_of(answer: Any) -> dict[bytes, float]:
    """The likeliest tokens at an answer's first position, by their bytes; none if untold."""
    try:
        logprobs = answer["choices"][0]["logprobs"]
        if isinstance(logprobs.get("content"), list):
            entries = logprobs["content"][0]["top_logprobs"]
            return {
                bytes(entry.get("bytes") or entry["token"].encode("utf-8")): clean(entry["logprob"])
                for entry in entries
            }
        listing = logprobs["top_logprobs"][0]
        return {name.encode("utf-8"): clean(value) for name, value in listing.items()}
    except (KeyError, IndexError, TypeError, AttributeError):
        return {}


class CompletionsRoute:
    """The completions route of one server.

    :param prompt: what is sent for a prompt: its ids, or its text.
    """

    path = "v1/completions"
    stops = True
    several = True
    names: Mapping[str, str] = {}

    def __init__(self, facts: Facts, prompt: Callable[[Prompt], list[int] | str]) -> None:
        self._facts = facts
        self._prompt = prompt
        self._own = facts.server in ("vllm", "sglang")
        self.several = facts.server not in ("generic", "llama-cpp-python")

    def body(self, request: CompletionRequest, left_out: frozenset[str]) -> dict[str, Any]:
        """The request: see `writing.Route`."""
        reject_unknown_options(request.extra, EXTRA, self._facts.model)
        body: dict[str, Any] = {
            "model": self._facts.model,
            "prompt": self._prompt(request.prompt),
            "max_tokens": request.max_tokens,
            **sampling(request, self._facts.server),
        }
        if self._facts.listed:
            body["logprobs"] = 1
        if self._own:
            body |= {"logprobs": 1, "return_tokens_as_token_ids": True, "return_token_ids": True}
        return {name: value for name, value in body.items() if name not in left_out}

    def parts(self, answer: Mapping[str, Any]) -> Iterable[Part]:
        """What a whole answer holds."""
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise MalformedAnswerError(
                "the answer holds no choices", where=self._facts.model, retryable=True
            )
        return [part for choice in choices for part in self._of_choice(choice)]

    def events(self, events: Iterator[Any]) -> Iterator[Part]:
        """What a stream holds, as it comes."""
        for event in events:
            for choice in (event.get("choices") if isinstance(event, Mapping) else None) or ():
                yield from self._of_choice(choice)

    def _of_choice(self, choice: Mapping[str, Any]) -> Iterator[Part]:
        reason = choice.get("stop_reason")
        yield Part(
            int(choice.get("index") or 0),
            str(choice.get("text") or ""),
            list(self._told(choice)),
            choice.get("finish_reason"),
            reason if isinstance(reason, str) else None,
            "stop_reason" not in choice,
        )

    def _told(self, choice: Mapping[str, Any]) -> Iterator[Told]:
        logprobs = choice.get("logprobs")
        if not isinstance(logprobs, Mapping):
            return
        if isinstance(logprobs.get("content"), list):
            # llama-server writes those of its chat route here as well.
            for entry in logprobs["content"]:
                raw = bytes(entry.get("bytes") or entry["token"].encode("utf-8"))
                yield Told(entry.get("id"), raw, clean(entry["logprob"]))
            return
        names = logprobs.get("tokens") or ()
        values = logprobs.get("token_logprobs") or ()
        for name, value in zip(names, values, strict=False):
            token = None
            if isinstance(name, str) and name.startswith("token_id:"):
                token, name = token_id(name[9:]), ""
            yield Told(token, str(name).encode("utf-8"), clean(value if value is not None else 0.0))
