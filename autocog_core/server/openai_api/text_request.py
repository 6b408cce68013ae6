"""One prompt and what to do with it, in the words of the model and not of a route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autocog_core.config.server_config import ServerLimits
from autocog_core.model.model import Model
from autocog_core.server.request_errors import RequestError
from autocog_core.types.prompt import Prompt, TokenPiece

#: Tokens of a completion, if the request does not say. For chats it is all that fits.
DEFAULT_MAX_TOKENS = 16
#: Tokens with their log-probabilities that one answer may list: some 300 MB in memory.
MAX_LISTED = 2_000_000


@dataclass(frozen=True, kw_only=True)
class TextRequest:
    """One prompt and what to do with it.

    :ivar prompt: the prompt.
    :ivar ids: its tokens; None if the model does not tokenize.
    :ivar max_tokens: the most tokens to write; 0 for none.
    :ivar arguments: the other arguments of `Model.complete`.
    :ivar echo: whether the tokens of the prompt are scored, too.
    :ivar top_logprobs: how many of the likeliest tokens to list at each position; None for no
        log-probabilities.
    """

    prompt: Prompt
    ids: tuple[int, ...] | None
    max_tokens: int
    arguments: Mapping[str, Any]
    echo: bool = False
    top_logprobs: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """The number of tokens of the prompt; 0 if it is unknown."""
        return len(self.ids or ())

    @property
    def to_complete(self) -> Prompt:
        """The prompt as `Model.complete` takes it."""
        return self.prompt if self.ids is None else Prompt((TokenPiece(self.ids),))

    @property
    def wants_top(self) -> bool:
        """Whether the likeliest tokens are listed."""
        return bool(self.top_logprobs)


def encode_requests(model: Model, requests: list[TextRequest]) -> list[TextRequest]:
    """Return requests with the tokens of their prompts. Call it on the model's thread.

    :param model: the model.
    :param requests: the requests.
    :raises InputError: for an empty prompt, text that is not Unicode, or ids that do not exist.
    :raises ContextOverflowError: for a prompt that is too long.
    """
    if not can_score(model):
        return requests
    return [replace(request, ids=tuple(model.encode(request.prompt))) for request in requests]


def can_score(model: Model) -> bool:
    """Whether a model has tokens and their log-probabilities, beside texts."""
    capabilities = set(model.capabilities)
    scores = {"greedy_impl", "greedy_tree_impl"} & capabilities
    return {"tokenize", "detokenize"} <= capabilities and bool(scores)


def check_max_tokens(given: int | None, limits: ServerLimits, parameter: str) -> None:
    """Refuse a limit of tokens that the server does not allow.

    :param given: the limit in the request; None if there is none.
    :raises RequestError: if it is too high.
    """
    if given is not None and given > limits.output_tokens:
        raise RequestError(
            f"{given:,} tokens are more than the server allows; give at most "
            f"{limits.output_tokens:,}",
            parameter=parameter,
        )


def check_listed(requests: Sequence[TextRequest], count: int) -> None:
    """Refuse log-probabilities that would fill the memory.

    :param requests: the requests, with the tokens of their prompts.
    :param count: how many texts each prompt gets.
    :raises RequestError: if the answer would list too many tokens.
    """
    listed = 0
    for request in requests:
        if request.top_logprobs is not None:
            tokens = request.max_tokens + (request.prompt_tokens if request.echo else 0)
            listed += tokens * count * (1 + request.top_logprobs)
    if listed > MAX_LISTED:
        raise RequestError(
            f"up to {listed:,} tokens with log-probabilities, of all prompts and texts; the server "
            f"lists {MAX_LISTED:,}: ask for fewer, or for fewer tokens",
            parameter="logprobs",
        )


def with_room(request: TextRequest, model: Model, most: int) -> TextRequest:
    """Return a request without a limit of its own, with one that fits the context.

    :param request: the request.
    :param model: the model.
    :param most: the most tokens.
    """
    length = model.info.context_length
    room = most if length is None else min(most, length - request.prompt_tokens)
    # Without any room, the model says what is too long.
    return replace(request, max_tokens=max(1, room))
