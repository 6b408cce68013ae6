"""/generate: SGLang's own route, which takes ids and tells ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.connection.scorer import clean, token_id
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.streamed_completion import Part, Told
from autocog_openai.routes.writer import drawing

EXTRA = (
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "regex", "json_schema"),
    *("ebnf", "min_new_tokens", "ignore_eos"),
)


class GenerateRoute:
    """SGLang's own route.

    :param prompt: the ids that are sent for a prompt.
    :param surface: the bytes of a token.
    """

    path = "/generate"
    stops = True
    several = True
    names: Mapping[str, str] = {}

    def __init__(
        self,
        facts: Facts,
        prompt: Callable[[Prompt], list[int] | str],
        surface: Callable[[int], bytes],
    ) -> None:
        self._facts = facts
        self._prompt = prompt
        self._surface = surface

    def body(self, request: CompletionRequest, left_out: frozenset[str]) -> dict[str, Any]:
        """The request: see `writing.Route`."""
        reject_unknown_options(request.extra, EXTRA, self._facts.model)
        sampling = {"max_new_tokens": request.max_tokens, **drawing(request)}
        if request.n > 1:
            sampling["n"] = request.n
        if request.seed is not None:
            sampling["sampling_seed"] = request.seed
        if request.stop:
            sampling["stop"] = list(request.stop)
        return {
            "input_ids": self._prompt(request.prompt),
            "sampling_params": sampling,
            "return_logprob": True,
            "logprob_start_len": -1,
        }

    def parts(self, answer: Any) -> Iterable[Part]:
        """What a whole answer holds."""
        answers = answer if isinstance(answer, list) else [answer]
        return [self._part(number, one, 0, 0) for number, one in enumerate(answers)]

    def events(self, events: Iterator[Any]) -> Iterator[Part]:
        """What a stream holds, as it comes: each event repeats what came before."""
        length = count = 0
        for event in events:
            part = self._part(0, event, length, count)
            length += len(part.text)
            count += len(part.tokens)
            yield part

    def _part(self, number: int, answer: Any, length: int, count: int) -> Part:
        try:
            meta = answer["meta_info"]
            entries = meta.get("output_token_logprobs") or []
            tokens = [
                Told(token_id(entry[1]), self._surface(token_id(entry[1])), clean(entry[0]))
                for entry in entries[count:]
            ]
            reason = meta["finish_reason"]
            matched = reason.get("matched") if isinstance(reason, Mapping) else None
            kind = reason.get("type") if isinstance(reason, Mapping) else reason
            return Part(
                number,
                str(answer.get("text") or "")[length:],
                tokens,
                kind,
                matched if isinstance(matched, str) else None,
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise MalformedAnswerError(
                f"the answer is not what /generate promises ({error!r})",
                where=self._facts.model,
                retryable=True,
            ) from error
