"""Probing of constraints: which ones the server obeys, and whose log-probabilities it returns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_core import Completion, CompletionRequest, Constraint, ConstraintKind, Prompt
from autocog_openai.connection.answer_fields import FieldError, first_item
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.constraint_forms import ConstraintForm, serves
from autocog_openai.connection.scorer import score_token
from autocog_openai.connection.server_capabilities import ConstrainedLogprobs, ServerCapabilities
from autocog_openai.model.probe_completions import (
    LOGPROB_TOLERANCE,
    PROBE_TEXT,
    is_same_listing,
    read_first_listing,
)
from autocog_openai.model.writing import create_route, select_api
from autocog_openai.routes.messages import messages_of
from autocog_openai.routes.token_listing import read_listings
from autocog_openai.routes.writer import Route, Writer
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.load import Tokenizer, tokenize_if_possible

#: Texts that no model writes by itself after the probe's text.
EXPECTED = tuple(f"Zq{digit}" for digit in range(10))
_MEMBER = {"type": "string", "enum": list(EXPECTED)}
_SCHEMA = {
    "type": "object",
    "properties": {"zq": _MEMBER},
    "required": ["zq"],
    "additionalProperties": False,
}
CONSTRAINTS: Mapping[ConstraintKind, str] = {
    "regex": "Zq[0-9]",
    "grammar": 'start: "Zq" DIGIT\nDIGIT: /[0-9]/',
    "json_schema": json.dumps(_SCHEMA),
}
#: Enough for each of these texts letter by letter, and for blanks between the parts of JSON.
MAX_TOKENS: Mapping[ConstraintKind, int] = {"regex": 8, "grammar": 8, "json_schema": 32}
#: Enough for the thoughts of a model that thinks before it answers.
MAX_TOKENS_OF_THOUGHTS = 1024
#: A log-probability above this is not changed enough by a mask.
MAX_UNLIKELY_LOGPROB = -0.7
#: How many of the most likely tokens are compared with and without a constraint.
LISTED = 5


def probe_constraints(
    dialect: ServerDialect, capabilities: ServerCapabilities, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """Return the fields of `ServerCapabilities` that concern constraints on texts."""
    probe = _Probe(dialect, capabilities, tokenizer)
    forms: dict[str, ConstraintForm] = {}
    logprobs: ConstrainedLogprobs = ""
    ignored: set[ConstraintForm] = set()
    for kind in CONSTRAINTS:
        for form in dialect.constraint_forms.get(probe.api, ()):
            if not serves(form, kind) or form in ignored:
                continue
            completion = None
            is_obeyed = probe.obeys_choices(form)
            if is_obeyed is None:
                completion = probe.write(kind, form)
                is_obeyed = completion is not None and _obeys(kind, completion.text)
            if not is_obeyed:
                # A server that ignores it for one kind ignores it for all.
                ignored.add(form)
                continue
            forms[kind] = form
            # One mask serves all kinds.
            logprobs = logprobs or probe.find_logprobs(kind, form, completion)
            break
    return {"constraint_forms": forms, "constrained_logprobs": logprobs}


def _obeys(kind: ConstraintKind, text: str) -> bool:
    if kind != "json_schema":
        return text in EXPECTED
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.keys() == {"zq"} and value["zq"] in EXPECTED


class _Probe:
    """Writes constrained texts on the route that the model uses."""

    def __init__(
        self,
        dialect: ServerDialect,
        capabilities: ServerCapabilities,
        tokenizer: Tokenizer | None,
    ) -> None:
        self.api = select_api(dialect, capabilities)
        self._dialect = dialect
        self._capabilities = capabilities
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        if tokenizer is not None and capabilities.token_ids:
            self._tokens = tokenize_if_possible(tokenizer, PROBE_TEXT)
            if capabilities.adds_bos and capabilities.bos is not None:
                self._tokens = [capabilities.bos, *self._tokens]

    def obeys_choices(self, form: ConstraintForm) -> bool | None:
        """Whether the server obeyed the form in the probe of choices; None if that used another."""
        is_tested = self.api == "chat" and form in self._dialect.constraint_parameters(("a",))
        return self._capabilities.choice_constraint if is_tested else None

    def write(self, kind: ConstraintKind, form: ConstraintForm) -> Completion | None:
        """Return the text that the server writes; None if it refuses."""
        request = self._request(kind)
        capabilities = self._with_form(kind, form)
        native = None
        if self._can_score:
            native = self._dialect.native_writer(capabilities)
        if native is not None:
            return attempt(lambda: native.write(request, self._tokens))
        writer = Writer(
            self._dialect.connection,
            self._route(capabilities),
            lambda raw: None,
            capabilities.refused_parameters,
            is_quiet=True,
        )
        return attempt(lambda: writer.write(request))

    def find_logprobs(
        self, kind: ConstraintKind, form: ConstraintForm, completion: Completion | None
    ) -> ConstrainedLogprobs:
        """Compare log-probabilities under a constraint with the model's own.

        :param completion: what `write` returned, if it was called.
        """
        if completion is not None and completion.logprobs and completion.tokens and self._can_score:
            own = self._own_logprob(completion.tokens[0])
            if own is None or own > MAX_UNLIKELY_LOGPROB:
                return "unknown"
            is_own = abs(own - completion.logprobs[0]) < LOGPROB_TOLERANCE
            return "own" if is_own else "masked"
        return self._compare_listings(kind, form)

    def _own_logprob(self, token: int) -> float | None:
        scorer = self._dialect.scorer(self._capabilities)
        if scorer is None:
            return None
        try:
            return attempt(lambda: score_token(scorer, self._tokens, token))
        except LookupError:
            return None

    def _compare_listings(self, kind: ConstraintKind, form: ConstraintForm) -> ConstrainedLogprobs:
        """Compare the most likely first tokens with and without the constraint.

        Before a mask, both lists are the same, although the constraint forbids the most likely one.
        """
        if self.api == "chat":
            is_listed = self._capabilities.chat_max_top_logprobs >= LISTED
            listing: dict[str, Any] = {"logprobs": True, "top_logprobs": LISTED}
        else:
            listed = self._capabilities.max_top_logprobs
            is_listed = self.api == "completions" and (listed >= LISTED or listed < 0)
            listing = {"logprobs": LISTED}
        if not is_listed:
            return "unknown"
        request = replace(self._request(kind), max_tokens=1)
        listings = []
        for each in (request, replace(request, constraint=None)):
            route = self._route(self._with_form(kind, form))
            body = route.body(each, frozenset(self._capabilities.refused_parameters))
            listings.append(self._first_listing(route, {**body, **listing}))
        constrained, free = listings
        if not constrained or not free:
            return "unknown"
        return "own" if is_same_listing(constrained, free) else "masked"

    def _first_listing(self, route: Route, body: Mapping[str, Any]) -> Mapping[int | bytes, float]:
        answer = attempt(lambda: self._dialect.connection.post(route.path, body))
        if self.api == "completions":
            return read_first_listing(answer).logprobs
        try:
            (first, *_) = read_listings(first_item(answer, "choices"))
        except (FieldError, ValueError):
            return {}
        return first.logprobs

    @property
    def _can_score(self) -> bool:
        is_native = self.api == "completions" and self._capabilities.token_logprobs
        return is_native and bool(self._tokens)

    def _request(self, kind: ConstraintKind) -> CompletionRequest:
        thinks = self._dialect.constraint_probe_tokens is None
        return CompletionRequest(
            prompt=Prompt.of(PROBE_TEXT),
            max_tokens=MAX_TOKENS_OF_THOUGHTS if thinks else MAX_TOKENS[kind],
            constraint=Constraint(kind=kind, source=CONSTRAINTS[kind]),
        )

    def _with_form(self, kind: ConstraintKind, form: ConstraintForm) -> ServerCapabilities:
        return self._capabilities.model_copy(update={"constraint_forms": {kind: form}})

    def _route(self, capabilities: ServerCapabilities) -> Route:
        return create_route(
            self._dialect,
            capabilities,
            messages=lambda prompt: messages_of(prompt, self._detokenize),
            send_prompt=lambda prompt: self._tokens or PROBE_TEXT,
            token_bytes=self._token_bytes,
        )

    def _token_bytes(self, token: int) -> bytes:
        return b"" if self._tokenizer is None else self._tokenizer.token_bytes(token)

    def _detokenize(self, tokens: Sequence[int]) -> bytes:
        return b"" if self._tokenizer is None else self._tokenizer.detokenize(tokens)
