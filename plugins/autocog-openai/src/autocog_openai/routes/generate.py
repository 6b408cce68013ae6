"""/generate: SGLang's native route, which accepts and returns token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.connection.scorer import normalize_logprob, parse_token_id
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk, ServerToken
from autocog_openai.routes.writer import sampling_parameters

EXTRA = (
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "regex", "json_schema"),
    *("ebnf", "min_new_tokens", "ignore_eos"),
)


class GenerateRoute:
    """SGLang's native route.

    :param send_prompt: returns a prompt's token ids.
    :param token_bytes: returns the bytes of a token.
    """

    path = "/generate"
    supports_stop = True
    supports_n = True
    parameter_names: Mapping[str, str] = {}

    def __init__(
        self,
        capabilities: ServerCapabilities,
        send_prompt: Callable[[Prompt], list[int] | str],
        token_bytes: Callable[[int], bytes],
    ) -> None:
        self._capabilities = capabilities
        self._send_prompt = send_prompt
        self._token_bytes = token_bytes

    def body(self, request: CompletionRequest, unsupported: frozenset[str]) -> dict[str, Any]:
        """Return the body of a request: see `Route`."""
        reject_unknown_options(request.extra, EXTRA, self._capabilities.model)
        parameters = {"max_new_tokens": request.max_tokens, **sampling_parameters(request)}
        if request.n > 1:
            parameters["n"] = request.n
        if request.seed is not None:
            parameters["sampling_seed"] = request.seed
        if request.stop:
            parameters["stop"] = list(request.stop)
        return {
            "input_ids": self._send_prompt(request.prompt),
            "sampling_params": parameters,
            "return_logprob": True,
            "logprob_start_len": -1,
        }

    def read_answer(self, answer: Any) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        answers = answer if isinstance(answer, list) else [answer]
        return [self._read(index, item, 0, 0) for index, item in enumerate(answers)]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream. Each event repeats the text before it."""
        length = count = 0
        for event in events:
            chunk = self._read(0, event, length, count)
            length += len(chunk.text)
            count += len(chunk.tokens)
            yield chunk

    def _read(self, index: int, answer: Any, length: int, count: int) -> CompletionChunk:
        """Return what an answer adds after `length` characters and `count` tokens."""
        try:
            meta = answer["meta_info"]
            entries = meta.get("output_token_logprobs") or []
            reason = meta["finish_reason"]
            matched = reason.get("matched") if isinstance(reason, Mapping) else None
            return CompletionChunk(
                index=index,
                text=str(answer.get("text") or "")[length:],
                tokens=[self._read_token(entry) for entry in entries[count:]],
                finish_reason=reason.get("type") if isinstance(reason, Mapping) else reason,
                stop_string=matched if isinstance(matched, str) else None,
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise MalformedAnswerError(
                f"the answer does not follow the interface of /generate ({error!r})",
                where=self._capabilities.model,
                retryable=True,
            ) from error

    def _read_token(self, entry: Any) -> ServerToken:
        token = parse_token_id(entry[1])
        logprob = normalize_logprob(entry[0])
        return ServerToken(token=token, raw=self._token_bytes(token), logprob=logprob)
