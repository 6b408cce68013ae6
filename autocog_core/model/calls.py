"""The public calls `complete`, `stream`, `greedy` and those of tokens, with their keywords.

`Model` has all of them; the base classes for backends have those that their hooks allow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import InputError
from autocog_core.model.call_context import CallContext
from autocog_core.model.call_warnings import (
    warn_about_completion,
)
from autocog_core.model.completion_arguments import make_completion_request, merge_arguments
from autocog_core.model.streaming import stream_text
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.completion import Completion
from autocog_core.types.prompt import Message, PromptLike, check_text


class TextCalls(ABC):
    """Calls of models that tokenize and complete."""

    @abstractmethod
    def _call_context(self) -> CallContext:
        """Return what the calls need."""

    def tokenize(
        self, text: str, *, at_start: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Return the token ids of `text`, without BOS.

        :param text: the text.
        :param at_start: False if the text continues other text.
        :param parse_special: whether special tokens are parsed: only for text that you trust.
        :raises InputError: if the text is not valid Unicode.
        """
        check_text(text, "text")
        client = self._call_context().client
        return client.tokenize([text], at_start=at_start, parse_special=parse_special)[0]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`; bytes that are not UTF-8 become U+FFFD.

        :raises InputError: for an id outside the vocabulary.
        """
        return self.detokenize_bytes(tokens).decode("utf-8", errors="replace")

    def detokenize_bytes(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of `tokens`.

        :raises InputError: for an id outside the vocabulary.
        """
        client = self._call_context().client
        size = client.info.vocabulary_size
        for token in tokens:
            if not 0 <= token < size:
                raise InputError(
                    f"token {token} is outside the vocabulary",
                    where="tokens",
                    hint=f"ids are 0..{size - 1}",
                )
        if len(tokens) == 1:
            # The client keeps the bytes of single tokens, even when it is closed.
            client.require_open()
            return client.token_bytes(tokens[0])
        return client.detokenize(list(tokens))

    def complete(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        n: int | None = None,
        regex: str | None = None,
        grammar: str | None = None,
        json_schema: Mapping[str, Any] | bool | type[Any] | None = None,
        on_text: Callable[[str], None] | None = None,
        **engine_options: Any,
    ) -> Completion:
        """Continue the prompt. For arguments that are None, the model's defaults apply.

        :param prompt: the text to continue.
        :param messages: a chat, in place of `prompt`.
        :param template_arguments: variables of the model's chat template for `messages`, such as
            `{"enable_thinking": False}`; they override the model's own.
        :param max_tokens: the most tokens to generate (default: 64).
        :param stop: a string, or several, before which the text ends.
        :param temperature: 0 takes the likeliest token at each step (default); above, sample.
        :param top_p: sample from the fewest tokens that have this probability together.
        :param top_k: sample from this many likeliest tokens; 0 is no limit.
        :param min_p: drop tokens below this share of the likeliest token's probability.
        :param seed: random seed; a sample repeats with the same seed.
        :param n: number of completions; the first is the result, the others its `alternatives`.
        :param regex: a regular expression that the whole text must match.
        :param grammar: in place of `regex`, a grammar in Lark's syntax, with the rule `start`.
        :param json_schema: in place of `regex`, a JSON Schema whose instance the text must be; or a
            pydantic model, a dataclass or a TypedDict, which stands for its schema.
        :param on_text: called with each new piece of text.
        :param engine_options: options that only some engines support.
        :raises InputError: for arguments out of range, and for a constraint that is wrong.
        :raises CapabilityError: for an option or a constraint that the engine does not support.
        :raises ContextOverflowError: if prompt and `max_tokens` do not fit the context.
        """
        context = self._call_context()
        arguments = {
            "max_tokens": max_tokens,
            "stop": stop,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "seed": seed,
            "n": n,
            "regex": regex,
            "grammar": grammar,
            "json_schema": json_schema,
            "on_text": on_text,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        if twice := given.keys() & merge_arguments(engine_options).keys():
            name = min(twice)
            raise InputError("is given twice, also under another name", where=name)
        request = make_completion_request(
            context.prompt(prompt, messages, template_arguments),
            merge_arguments(context.completion, given, engine_options),
        )
        warn_about_completion(context.client, request)
        return context.client.complete(request)

    def stream(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        regex: str | None = None,
        grammar: str | None = None,
        json_schema: Mapping[str, Any] | bool | type[Any] | None = None,
        **engine_options: Any,
    ) -> Iterator[str]:
        """Yield the text of one completion in pieces, as it is generated.

        Closing the iterator ends the completion. The arguments are those of `complete`.

        :raises InputError: for `on_text`; and as `complete` does, when the iteration begins.
        """
        if "on_text" in engine_options:
            raise InputError("is not an argument of stream: iterate over it", where="on_text")
        return stream_text(
            lambda on_text: self.complete(
                prompt,
                messages=messages,
                template_arguments=template_arguments,
                max_tokens=max_tokens,
                stop=stop,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                min_p=min_p,
                seed=seed,
                regex=regex,
                grammar=grammar,
                json_schema=json_schema,
                on_text=on_text,
                **{"n": 1, **engine_options},
            )
        )


class GreedyCalls(TextCalls):
    """Calls of models that return the distribution of the next token."""

    def greedy(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Return the natural log-probability of every token after the prompt, float32 (V,).

        :param prompt: the text before.
        :param messages: a chat, in place of `prompt`.
        :param template_arguments: variables of the model's chat template for `messages`, such as
            `{"enable_thinking": False}`; they override the model's own.
        :raises InputError: for an empty prompt on a model without BOS, or ids out of range.
        :raises ContextOverflowError: if the prompt does not fit.
        """
        context = self._call_context()
        return context.client.greedy(
            encode_prompt(context.client, context.prompt(prompt, messages, template_arguments))
        )
