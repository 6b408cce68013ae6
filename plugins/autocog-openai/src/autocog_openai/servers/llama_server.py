"""llama-server, llama.cpp's own: exact log-probabilities through its native routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from autocog_core import Message, Prompt
from autocog_core.toolkit import render_chat_prompt
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_any,
    as_count,
    as_list,
    as_logprob,
    as_object,
    as_text,
    as_token_bytes,
    as_token_id,
    first_item,
    optional,
    read_ids,
    reading,
    required,
)
from autocog_openai.connection.constraint_forms import ConstraintForm
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.completions import CompletionsRoute
from autocog_openai.routes.listed_tokens import is_pick
from autocog_openai.servers.dialect import SendPrompt, ServerDialect
from autocog_openai.servers.llama_server_scorer import FORCING_BIAS, LlamaServerScorer
from autocog_openai.servers.llama_server_writer import LlamaServerWriter

#: How many special tokens are tested for ending a text: some models reserve thousands.
MAX_TESTED_SPECIAL_TOKENS = 512
#: How much a forced token's log-probability may differ from the listed one.
FORCED_LOGPROB_TOLERANCE = 0.05
#: Rank of the token that is forced to test the bias.
TESTED_RANK = 1000


class LlamaServerDialect(ServerDialect):
    """llama.cpp's `llama-server`."""

    name = "llama-server"
    #: Each slot evaluates the prompt for itself. On CPUs, four requests at once take longer than
    #: four of them one after the other.
    evaluates_in_parallel = False
    constraint_forms: ClassVar[Mapping[str, tuple[ConstraintForm, ...]]] = {
        "completions": ("llguidance", "llama_schema"),
        "chat": ("llguidance", "llama_schema"),
    }
    owned_by = "llamacpp"
    build_route = "/props"
    build_fields = ("build_info", "model_path", "total_slots", "chat_template")
    probes_completions = False
    can_ignore_special_tokens = True

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        properties = as_object(self.connection.get("/props"), "the answer of /props")
        defaults = required(properties, "default_generation_settings", as_object)
        start = self.tokenize("a", parse_special=False)
        body = {"prompt": start, "n_predict": 1, "temperature": 0.0}
        size = required(required(entry, "meta", as_object), "n_vocab", as_vocabulary_size)
        answer = self.connection.post("/completion", {**body, "n_probs": size})
        written = first_item(answer, "completion_probabilities")
        listing = [
            (required(token, "id", as_token_id), required(token, "logprob", as_logprob))
            for token in required(written, "top_logprobs", as_list)
        ]
        if is_pick([logprob for _, logprob in listing if logprob is not None]):
            raise FieldError("the log-probabilities are 0 and -9999, which is no distribution")
        vocabulary = [""] * size
        for token in written["top_logprobs"]:
            vocabulary[token["id"]] = required(token, "bytes", as_token_bytes).decode("latin-1")
        special = self._find_special([token for token in range(size) if not vocabulary[token]])
        ids = dict(special)
        with_bos = self._tokenize("a", add_special=True, parse_special=False)
        bos = ids.get(optional(properties, "bos_token", as_text) or "")
        eos = ids.get(optional(properties, "eos_token", as_text) or "")
        logit_bias = self._test_logit_bias(body, listing)
        eos_tokens = self._find_eos(body, [token for _, token in special]) if logit_bias else []
        if eos is not None:
            eos_tokens = [eos, *(token for token in eos_tokens if token != eos)]
        return {
            "version": optional(properties, "build_info", as_text) or "",
            "vocabulary_size": size,
            "context_length": required(defaults, "n_ctx", as_count),
            "bos": bos,
            "adds_bos": bos is not None and with_bos[:1] == [bos],
            "adds_leading_space": vocabulary[start[0]].startswith(" "),
            "eos": tuple(eos_tokens),
            "special_token_ids": tuple(special),
            "vocabulary": tuple(vocabulary),
            "tokenizer_route": "llama-server",
            "completions": True,
            "token_ids": True,
            "token_logprobs": True,
            "max_top_logprobs": -1 if len(listing) == size else len(listing),
            "chat": True,
            "chat_max_top_logprobs": 20,
            "prefill": True,
            "logit_bias": logit_bias,
            "choice_constraint": True,
            "chat_template": bool(properties.get("chat_template")),
            "parallel_slots": optional(properties, "total_slots", as_count) or 1,
        }

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._tokenize(text, add_special=False, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        answer = self.connection.post("/detokenize", {"tokens": list(tokens)})
        return required(answer, "content", as_text)

    def scorer(self, capabilities: ServerCapabilities) -> LlamaServerScorer:
        return LlamaServerScorer(self.connection, capabilities)

    def native_writer(self, capabilities: ServerCapabilities) -> LlamaServerWriter:
        return LlamaServerWriter(self.connection, capabilities, self.tokenize)

    def writing_route(
        self,
        capabilities: ServerCapabilities,
        send_prompt: SendPrompt,
        token_bytes: Callable[[int], bytes],
    ) -> CompletionsRoute:
        return CompletionsRoute(capabilities, send_prompt, supports_n=True)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        capabilities: ServerCapabilities,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        if not capabilities.chat_template:
            return None

        def render(items: list[dict[str, str]]) -> str:
            body: dict[str, Any] = {
                "messages": items,
                "add_generation_prompt": add_generation_prompt,
            }
            if template_arguments:
                body["chat_template_kwargs"] = dict(template_arguments)
            answer = self.connection.post("/apply-template", body)
            with reading(self.connection.where):
                return required(answer, "prompt", as_text)

        special = [token.text for token in capabilities.special_tokens]
        return render_chat_prompt(messages, render, special)

    def _tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        body = {"content": text, "add_special": add_special, "parse_special": parse_special}
        return read_ids(self.connection.post("/tokenize", body), "tokens")

    def _find_special(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        """Return texts and ids of the tokens without bytes whose text parses as the token."""

        def find_text(token: int) -> tuple[str, int] | None:
            text = self.detokenize([token])
            parses = text and self.tokenize(text, parse_special=True) == [token]
            return (text, token) if parses else None

        results = self.connection.map_concurrently(find_text, list(tokens))
        return [special for special in results if special is not None]

    def _test_logit_bias(
        self, body: Mapping[str, Any], listing: Sequence[tuple[int, float | None]]
    ) -> bool:
        """Whether a bias makes a token certain, and the returned log-probability ignores it."""
        token, listed = listing[min(len(listing) - 1, TESTED_RANK)]
        forced = first_item(self._force(body, token), "completion_probabilities")
        logprob = required(forced, "logprob", as_logprob)
        if listed is None or logprob is None or required(forced, "id", as_token_id) != token:
            return False
        return abs(logprob - listed) < FORCED_LOGPROB_TOLERANCE

    def _find_eos(self, body: Mapping[str, Any], tokens: Sequence[int]) -> list[int]:
        """Return the special tokens that end a text: each is forced, and the server reports it."""
        tested = list(tokens[:MAX_TESTED_SPECIAL_TOKENS])
        answers = self.connection.map_concurrently(
            lambda token: optional(self._force(body, token), "stop_type", as_any), tested
        )
        return [token for token, stop in zip(tested, answers, strict=True) if stop == "eos"]

    def _force(self, body: Mapping[str, Any], token: int) -> Any:
        """Return the answer in which the server writes `token`."""
        forced = {**body, "n_probs": 1, "logit_bias": [[token, FORCING_BIAS]]}
        return self.connection.post("/completion", forced)


def as_vocabulary_size(value: Any, name: str) -> int:
    """Return a vocabulary size that token ids allow."""
    return as_token_id(value, name)
