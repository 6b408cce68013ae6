"""The base class of server dialects: how one kind of server differs from OpenAI's API.

The plugin's README explains how to add one ("Add a server dialect").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from autocog_core import (
    Completion,
    CompletionRequest,
    Message,
    Prompt,
    TreeQuery,
    TreeScores,
)
from autocog_openai.connection.answer_fields import as_text, required
from autocog_openai.connection.client import Connection
from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.scorer import Scorer
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.chat import ChatRoute
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.routes.writer import Route

Messages = Callable[[Prompt], list[dict[str, str]]]
SendPrompt = Callable[[Prompt], list[int] | str]


class NativeWriter(Protocol):
    """Writes completions through a native route, in place of `routes.writer.Writer`."""

    def write(self, request: CompletionRequest, prompt: Sequence[int]) -> Completion:
        """Return the completion of a prompt, given as token ids."""
        ...


class ServerDialect:
    """A kind of server. The defaults describe a server that only has OpenAI's routes.

    A subclass sets `name`, and overrides only what differs.

    :param connection: to the server.
    """

    #: The value of the option `server`.
    name: ClassVar[str]
    #: With `server = "auto"`, the value of `owned_by` in `/v1/models` that selects this dialect.
    owned_by: ClassVar[str] = ""
    #: A route that reports the server's build, and the fields that change only with an upgrade. If
    #: they change, the plugin probes again.
    build_route: str = ""
    build_fields: ClassVar[tuple[str, ...]] = ()
    #: Whether `api = "auto"` prefers the chat route to the completions route.
    prefers_chat: ClassVar[bool] = False
    #: Whether the plugin tests the completions route. If not, `probe` returns its capabilities.
    probes_completions: ClassVar[bool] = True
    #: The routes for decisions, in order of preference.
    decision_paths: ClassVar[tuple[str, ...]] = ("v1/systemone", "v1/decisions")
    #: The most questions of one request for decisions. OpenAI takes as many.
    max_decision_questions: ClassVar[int] = 400
    #: Whether these routes are tested with all others. If not, the first decision tests them.
    probes_decisions: ClassVar[bool] = False
    #: Whether the server evaluates several positions in little more time than one.
    evaluates_in_parallel: ClassVar[bool] = True
    #: Parameters with which the completions route lists tokens by id. Listed by text, two tokens
    #: with the same text look like one.
    listing_parameters: ClassVar[Mapping[str, Any]] = {}
    #: Limit for an answer that `constraint_parameters` constrain, when probing; None sets none.
    constraint_probe_tokens: ClassVar[int | None] = 32
    #: How constraints on texts are sent on each of the routes "completions", "chat" and
    #: "responses": the probe keeps the first form that the server obeys.
    constraint_forms: ClassVar[Mapping[str, tuple[ConstraintForm, ...]]] = {
        "completions": ("structured_outputs", "response_format", "json_object"),
        "chat": ("response_format", "structured_outputs", "json_object"),
        "responses": ("text_format",),
    }
    #: Whether chat templates remove spaces at both ends of a message.
    strips_messages: ClassVar[bool] = False
    #: Whether requests with messages may have variables of the chat template.
    takes_template_arguments: ClassVar[bool] = True
    #: Whether `tokenize` can leave special tokens in a text unparsed.
    can_ignore_special_tokens: ClassVar[bool] = False
    #: Whether the BOS token comes from the option `tokenizer`, if there is no tokenizer route.
    reads_bos_from_tokenizer_file: ClassVar[bool] = False
    #: Whether the scorer lets the server write a token, for which the context needs space.
    scorer_writes_token: ClassVar[bool] = True
    #: Whether log-probabilities of generated tokens depend on the temperature. `rescore` then
    #: returns those before the temperature.
    returns_sampling_logprobs: ClassVar[bool] = False

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.model = connection.options.model

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields of `ServerCapabilities` that the server's native routes reveal.

        Use requests of one token. Afterwards the plugin probes OpenAI's routes and adds their
        fields. A KeyError, IndexError, TypeError or ValueError means that the server is not of
        this kind.

        :param entry: the model's entry in `/v1/models`; empty if there is none.
        """
        return {}

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Return the ids of a text, without BOS.

        The plugin calls this only if `probe` returned a `tokenizer_route`.

        :param parse_special: whether special tokens in the text become their ids. If False, see
            `can_ignore_special_tokens`.
        """
        raise NotImplementedError

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of ids. The plugin calls this only if there is a `tokenizer_route`."""
        raise NotImplementedError

    def scorer(self, capabilities: ServerCapabilities) -> Scorer | None:
        """Return what requests log-probabilities of named tokens; None if the server has none.

        The plugin calls this only if `capabilities.token_logprobs` is true. A scorer makes the
        method "tree" available, which is exact.
        """
        return None

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores] | None:
        """Return the scores of token trees; None to request them position by position.

        The plugin calls this only if there is a scorer.
        """
        return None

    def native_writer(self, capabilities: ServerCapabilities) -> NativeWriter | None:
        """Return what writes completions through a native route; None to use `writing_route`.

        The plugin calls this only if there is a scorer.
        """
        return None

    def rescore(self, prompt: Sequence[int], tokens: Sequence[int]) -> tuple[float, ...]:
        """Return the log-probabilities of `tokens` after `prompt`, without a temperature.

        The plugin calls this only if `returns_sampling_logprobs` is true and there is a scorer.
        """
        raise NotImplementedError

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> Route:
        """Return the route that continues a prompt unchanged.

        :param send_prompt: returns what is sent for a prompt: ids if the route accepts them, else
            text.
        :param token_bytes: returns the bytes of a token.
        """
        return CompletionsRoute(capabilities, send_prompt)

    def chat_route(self, capabilities: ServerCapabilities, messages: Messages) -> ChatRoute:
        """Return the chat route.

        :param messages: returns the messages of a prompt.
        """
        return ChatRoute(capabilities, messages)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        capabilities: ServerCapabilities,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        """Return messages as a prompt for `writing_route`; None if the server cannot render them.

        :param add_generation_prompt: whether the prompt ends with the start of an answer.
        :param template_arguments: variables of the chat template.
        """
        return None

    def constraint_parameters(self, choices: Sequence[str]) -> dict[str, Any]:
        """Return parameters of the chat route that constrain the answer to one of `choices`."""
        schema = {
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": list(choices)}},
            "required": ["choice"],
            "additionalProperties": False,
        }
        json_schema = {"name": "choice", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": json_schema}}

    def read_constrained_choice(self, text: str) -> str:
        """Return the choice from an answer that was constrained.

        :raises ValueError: if the answer has another form; also KeyError and TypeError.
        """
        return required(json.loads(text), "choice", as_text)
