"""Choices on the chat route, which lists the most likely first tokens of an answer.

Later positions are available if the server continues the beginning of an answer, or if a bias makes
the first token certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_core import (
    CapabilityError,
    ChoiceRequest,
    ChoiceScores,
    Prompt,
    TokenPiece,
    TopChoices,
)
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.text import round_trip_text
from autocog_openai.choice.tree_positions import Position, TokenNames, TopLogprobs
from autocog_openai.choice.tree_walk import walk_choice_tree
from autocog_openai.connection.answer_fields import (
    as_object,
    as_text,
    first_item,
    optional,
    reading,
    required,
)
from autocog_openai.connection.errors import RefusedError
from autocog_openai.connection.finish_reasons import end_kind
from autocog_openai.connection.streamed_completion import ServerToken
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.model.server_model import ServerModel
from autocog_openai.routes.chat import THINKS, check_refusal, has_thoughts, read_content
from autocog_openai.routes.listed_tokens import TokenListing
from autocog_openai.routes.messages import template_arguments_of
from autocog_openai.routes.token_listing import (
    NOT_OF_ANSWER,
    begin_answer,
    read_listings,
    read_tokens,
)

#: A bias that makes a token certain, on OpenAI's scale.
FORCING_BIAS = 100


class ChatChoice:
    """Scores choices by the most likely tokens of the chat route."""

    def __init__(self, model: ServerModel) -> None:
        self._model = model
        self._capabilities = model.capabilities
        self._route = model.chat_route
        self._tokenizer = model.tokenizer
        self._counter = UsageCounter()
        self._problem = ""
        self._template_arguments: Mapping[str, Any] = {}

    def choose(self, client: BackendClient, request: ChoiceRequest) -> ChoiceScores | TopChoices:
        """Return the scores of the choices as answers to the prompt.

        :raises CapabilityError: for the norm "pmi" and `suffix=EOS`.
        """
        if request.norm == "pmi" or not (request.suffix is None or isinstance(request.suffix, str)):
            raise CapabilityError(
                "pmi and suffix=EOS need a server that continues a prompt unchanged",
                where=self._model.connection.where,
            )
        messages = self._model.messages(request.prompt)
        self._template_arguments = template_arguments_of(request.prompt)
        choices = self._answers(messages, request)

        def get_top_logprobs(positions: Sequence[Position]) -> list[TopLogprobs]:
            return self._model.connection.map_concurrently(
                lambda position: self._top_logprobs(messages, position), positions
            )

        result = walk_choice_tree(
            client,
            # The choices are tokenized alone: the prompt is any token.
            replace(request, prompt=Prompt((TokenPiece((0,)),)), choices=choices, boundary="heal"),
            get_top_logprobs,
            TokenNames(
                token_bytes=self._tokenizer.token_bytes, shared_bytes=self._tokenizer.shared_bytes
            ),
            unlisted_reason=self._unlisted_reason(),
        )
        reason = self._problem or result.reason
        if choices != request.choices:
            note = "spaces before choices were removed: the answer is a new message"
            reason = f"{reason}; {note}" if reason else note
        tokens_evaluated = self._counter.tokens_evaluated
        if isinstance(result, TopChoices):
            top = tuple(replace(best, choice=request.choices[best.index]) for best in result.top)
            return replace(result, top=top, reason=reason, tokens_evaluated=tokens_evaluated)
        scores = tuple(
            replace(score, choice=choice)
            for score, choice in zip(result.scores, request.choices, strict=True)
        )
        return replace(result, scores=scores, reason=reason, tokens_evaluated=tokens_evaluated)

    def _answers(
        self, messages: Sequence[Mapping[str, str]], request: ChoiceRequest
    ) -> tuple[str, ...]:
        """Return the choices as answers: without spaces at the start of a new message."""
        texts = tuple(choice.lstrip() for choice in request.choices)
        is_new_message = messages[-1]["role"] != "assistant"
        is_usable = all(texts) and len(set(texts)) == len(texts)
        return texts if is_new_message and is_usable else request.choices

    def _unlisted_reason(self) -> str:
        count = self._capabilities.chat_max_top_logprobs
        if self._capabilities.prefill or self._capabilities.logit_bias:
            return f"some tokens were not among the {count} most likely"
        return (
            f"the server lists only first tokens of an answer, and of these the {count} most likely"
        )

    def _top_logprobs(
        self, messages: Sequence[Mapping[str, str]], position: Position
    ) -> TopLogprobs:
        """Return the tokens that the server lists at a position; None if it cannot be reached."""
        path = position.path
        if not path:
            return self._request_listing(messages, self._route.length_limit(1))
        text = self._path_text(path)
        if self._capabilities.prefill and text is not None:
            prefilled = self._prefill(messages, text, path)
            if prefilled is None:
                return None
            return self._request_listing(prefilled, self._route.length_limit(1))
        if self._capabilities.logit_bias and len(path) == 1:
            # Only one token can be certain: several would compete at every position.
            bias = {"logit_bias": {str(path[0]): FORCING_BIAS}}
            forced = self._tokenizer.token_bytes(path[0])
            parameters = {**self._route.length_limit(2), **bias}
            return self._request_listing(messages, parameters, forced=forced)
        return None

    def _prefill(
        self, messages: Sequence[Mapping[str, str]], text: str, path: Sequence[int]
    ) -> list[Mapping[str, str]] | None:
        """Return messages that end with `text`; None if its tokens would not be `path`."""
        last = messages[-1]
        if last["role"] != "assistant":
            return [*messages, {"role": "assistant", "content": text}]
        before = self._tokenizer.tokenize(last["content"], parse_special=False)
        content = last["content"] + text
        if self._tokenizer.tokenize(content, parse_special=False) != [*before, *path]:
            return None
        return [*messages[:-1], {**last, "content": content}]

    def _request_listing(
        self,
        messages: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        *,
        forced: bytes | None = None,
    ) -> TopLogprobs:
        """Return the listing at the answer's first token, or at its second if the first is forced.

        :param forced: the bytes of the forced token.
        """
        connection = self._model.connection
        is_greedy = "temperature" not in self._capabilities.refused_parameters
        body = self._route.messages_body(
            [dict(message) for message in messages],
            self._template_arguments,
            **({"temperature": 0} if is_greedy else {}),
            logprobs=True,
            top_logprobs=self._capabilities.chat_max_top_logprobs,
            **parameters,
        )
        answer = connection.post(self._route.path, body, counter=self._counter)
        with reading(connection.where):
            choice = first_item(answer, "choices")
            message = required(choice, "message", as_object)
            check_refusal(message, connection.where)
            if end_kind(optional(choice, "finish_reason", as_text)) == "refused":
                raise RefusedError("the model refused: content filter", where=connection.where)
            if has_thoughts(message):
                # The listing is of the first token that the model thinks.
                self._problem = THINKS
                return None
            tokens = list(read_tokens(choice))
            if not _are_of_answer(tokens, message, messages[-1]):
                self._problem = NOT_OF_ANSWER
                return None
            index = 0
            if forced is not None:
                index = 1
                if [token.raw for token in tokens[:1]] != [forced]:
                    return None
            listings = read_listings(choice, forced=index)
        listing = listings[index] if index < len(listings) else TokenListing()
        return listing if listing.count and not listing.is_pick else None

    def _path_text(self, path: Sequence[int]) -> str | None:
        """Return the text of a path; None if the server would tokenize it differently."""
        text = round_trip_text(self._tokenizer, path)
        if text is not None and self._model.dialect.strips_messages and text != text.strip():
            return None
        return text


def _are_of_answer(
    tokens: Sequence[ServerToken], message: Mapping[str, Any], last: Mapping[str, str]
) -> bool:
    """Whether the first token begins the answer, and is not one of a call of a tool.

    :param last: the last message of the request, which a server that continues it may repeat.
    """
    if tokens and (message.get("tool_calls") or message.get("function_call")):
        return False
    text = read_content(message)
    texts = [text]
    if last["role"] == "assistant" and text.startswith(last["content"]):
        texts.append(text[len(last["content"]) :])
    return begin_answer(tokens, texts)
