"""llama-server, llama.cpp's own: exact log-probabilities through its native routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autocog_core import Message, Prompt
from autocog_core.toolkit import render_chat_prompt
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.routes.completions import CompletionsRoute
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
    owned_by = "llamacpp"
    build_route = "/props"
    build_fields = ("build_info", "model_path", "total_slots", "chat_template")
    probes_completions = False
    can_ignore_special_tokens = True

    def probe(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        properties = self.connection.get("/props")
        start = self.tokenize("a", parse_special=False)
        body = {"prompt": start, "n_predict": 1, "temperature": 0.0}
        size = int(entry["meta"]["n_vocab"])
        answer = self.connection.post("/completion", {**body, "n_probs": size})
        listing = answer["completion_probabilities"][0]["top_logprobs"]
        vocabulary = [""] * size
        for token in listing:
            vocabulary[token["id"]] = bytes(token["bytes"]).decode("latin-1")
        special = self._find_special([token for token in range(size) if not vocabulary[token]])
        ids = dict(special)
        with_bos = self._tokenize("a", add_special=True, parse_special=False)
        bos = ids.get(properties.get("bos_token", ""))
        eos = ids.get(properties.get("eos_token", ""))
        logit_bias = self._test_logit_bias(body, listing)
        eos_tokens = self._find_eos(body, [token for _, token in special]) if logit_bias else []
        if eos is not None:
            eos_tokens = [eos, *(token for token in eos_tokens if token != eos)]
        return {
            "version": str(properties.get("build_info", "")),
            "vocabulary_size": size,
            "context_length": int(properties["default_generation_settings"]["n_ctx"]),
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
            "parallel_slots": int(properties.get("total_slots") or 1),
        }

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._tokenize(text, add_special=False, parse_special=parse_special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return str(self.connection.post("/detokenize", {"tokens": list(tokens)})["content"])

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
    ) -> Prompt | None:
        if not capabilities.chat_template:
            return None

        def render(items: list[dict[str, str]]) -> str:
            body = {"messages": items, "add_generation_prompt": add_generation_prompt}
            return str(self.connection.post("/apply-template", body)["prompt"])

        special = [token.text for token in capabilities.special_tokens]
        return render_chat_prompt(messages, render, special)

    def _tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        body = {"content": text, "add_special": add_special, "parse_special": parse_special}
        return list(map(int, self.connection.post("/tokenize", body)["tokens"]))

    def _find_special(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        """Return texts and ids of the tokens without bytes whose text parses as the token."""

        def find_text(token: int) -> tuple[str, int] | None:
            text = self.connection.post("/detokenize", {"tokens": [token]})["content"]
            parses = text and self.tokenize(text, parse_special=True) == [token]
            return (text, token) if parses else None

        results = self.connection.map_concurrently(find_text, list(tokens))
        return [special for special in results if special is not None]

    def _test_logit_bias(
        self, body: Mapping[str, Any], listing: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Whether a bias makes a token certain, and the returned log-probability ignores it."""
        listed = listing[min(len(listing) - 1, TESTED_RANK)]
        forced = self._force(body, listed["id"])["completion_probabilities"][0]
        difference = abs(forced["logprob"] - listed["logprob"])
        return bool(forced["id"] == listed["id"] and difference < FORCED_LOGPROB_TOLERANCE)

    def _find_eos(self, body: Mapping[str, Any], tokens: Sequence[int]) -> list[int]:
        """Return the special tokens that end a text: each is forced, and the server reports it."""
        tested = list(tokens[:MAX_TESTED_SPECIAL_TOKENS])
        answers = self.connection.map_concurrently(
            lambda token: self._force(body, token).get("stop_type"), tested
        )
        return [token for token, stop in zip(tested, answers, strict=True) if stop == "eos"]

    def _force(self, body: Mapping[str, Any], token: int) -> Mapping[str, Any]:
        """Return the answer in which the server writes `token`."""
        forced = {**body, "n_probs": 1, "logit_bias": [[token, FORCING_BIAS]]}
        answer: Mapping[str, Any] = self.connection.post("/completion", forced)
        return answer
