"""What a server supports, and the file in the cache folder that stores it."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from autocog_core import CompletionRequest, SpecialToken
from autocog_core.toolkit import read_cached, write_cached
from autocog_openai.connection.constraint_forms import ConstraintForm, constraint_fields

#: Version of the stored file. Files of other versions are not read.
FORMAT = 7
#: How long a probe result is valid if some of the probe's requests failed inside the server.
RETRY_FAILED_PROBE_SECONDS = 300.0

#: Fields that are too long for a report.
NOT_REPORTED = {"vocabulary", "special_token_ids", "special_token_strips", "identity"}
#: How `decision_routes` names a route that decides.
DECIDES = "yes"
#: Of routes for decisions, in a report.
NOT_PROBED = 'not probed yet: the method "decision" does'
UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]
PromptLogprobs = Literal["none", "wrong", "right"]
#: "own": before the mask of a constraint. "masked": after it. "unknown": the probe cannot say.
ConstrainedLogprobs = Literal["", "own", "masked", "unknown"]


class ServerCapabilities(BaseModel):
    """What the plugin knows about one model on one server.

    :ivar server: the name of the server's dialect.
    :ivar model: the model's name on the server.
    :ivar version: the server's version, if it reports one.
    :ivar identity: what the server reports about the model and its build. If it changes, the
        plugin probes again.
    :ivar vocabulary_size: the number of tokens; None if the server does not report it.
    :ivar context_length: the maximum number of tokens in a sequence, if the server reports it.
    :ivar bos: the id of the BOS token, if there is one.
    :ivar adds_bos: whether a prompt begins with `bos`.
    :ivar adds_leading_space: whether the tokenizer puts a space before a text.
    :ivar restarts_after_special_tokens: see `BackendInfo`; None if it is unknown.
    :ivar eos: ids of tokens that end a text.
    :ivar special_token_ids: texts and ids of special tokens.
    :ivar special_token_strips: for each of them, whether parsing it removes the whitespace before
        it, and after it; empty if none does.
    :ivar splits_at_word_boundaries: see `BackendInfo`.
    :ivar unicode_normalization: see `BackendInfo`.
    :ivar isolates: see `BackendInfo`.
    :ivar tolerance: see `BackendInfo`; None if the server does not report it.
    :ivar vocabulary: the bytes of every token as latin-1 text, if the server returns them.
    :ivar tokenizer_route: the name of the server's tokenizer route; empty if there is none.
    :ivar completions: whether there is a completions route.
    :ivar token_ids: whether this route accepts token ids as a prompt.
    :ivar token_logprobs: whether the server returns the exact log-probability of any token by id.
    :ivar max_top_logprobs: how many of the most likely tokens the completions route lists at most;
        -1 means all.
    :ivar listing_problem: why listings of the completions route cannot be used for choices; empty
        if they can.
    :ivar prompt_logprobs: whether the server scores an echoed prompt, and whether these scores obey
        the chain rule.
    :ivar chat: whether there is a chat route.
    :ivar chat_max_top_logprobs: as `max_top_logprobs`, on the chat route.
    :ivar chat_listing_problem: as `listing_problem`, on the chat route.
    :ivar responses: whether the responses route writes; it is asked only if a model has neither of
        the others, and decides.
    :ivar prefill: whether the server continues a last message of the assistant.
    :ivar logit_bias: whether a bias makes a token certain, and log-probabilities ignore the bias.
    :ivar choice_constraint: whether an answer can be constrained to one of several strings.
    :ivar constraint_forms: how the server receives constraints on texts that it obeys, by kind.
    :ivar constrained_logprobs: whether log-probabilities of constrained texts are the model's own;
        empty if the server obeys no constraint.
    :ivar decision_routes: what the server says of each route for decisions (`decisions/routes.py`);
        empty if they were not probed.
    :ivar chat_template: whether the server renders messages with the model's chat template.
    :ivar refused_parameters: parameters that the model refuses.
    :ivar parallel_slots: how many requests the server processes at the same time, if it reports it.
    """

    model_config = ConfigDict(frozen=True)

    server: str
    model: str
    version: str = ""
    identity: str = ""
    vocabulary_size: int | None = None
    context_length: int | None = None
    bos: int | None = None
    adds_bos: bool = False
    adds_leading_space: bool = False
    restarts_after_special_tokens: bool | None = None
    eos: tuple[int, ...] = ()
    special_token_ids: tuple[tuple[str, int], ...] = ()
    special_token_strips: tuple[tuple[bool, bool], ...] = ()
    splits_at_word_boundaries: bool = False
    unicode_normalization: UnicodeForm | None = None
    isolates: bool = False
    tolerance: float | None = None
    vocabulary: tuple[str, ...] | None = None
    tokenizer_route: str = ""
    completions: bool = False
    token_ids: bool = False
    token_logprobs: bool = False
    max_top_logprobs: int = 0
    listing_problem: str = ""
    prompt_logprobs: PromptLogprobs = "none"
    chat: bool = False
    chat_max_top_logprobs: int = 0
    chat_listing_problem: str = ""
    responses: bool = True
    prefill: bool = False
    logit_bias: bool = False
    choice_constraint: bool = False
    constraint_forms: dict[str, ConstraintForm] = {}
    constrained_logprobs: ConstrainedLogprobs = ""
    decision_routes: dict[str, str] = {}
    chat_template: bool = False
    refused_parameters: tuple[str, ...] = ()
    parallel_slots: int | None = None

    @property
    def special_tokens(self) -> tuple[SpecialToken, ...]:
        """`special_token_ids` as core's type."""
        strips = self.special_token_strips or ((False, False),) * len(self.special_token_ids)
        return tuple(
            SpecialToken(text, token, *strip)
            for (text, token), strip in zip(self.special_token_ids, strips, strict=True)
        )

    @property
    def decides(self) -> bool:
        """Whether a route for decisions is known to decide."""
        return any(answer.startswith(DECIDES) for answer in self.decision_routes.values())

    def constraint_fields(self, request: CompletionRequest) -> dict[str, Any]:
        """Return the fields of a request that constrain its text; none without a constraint.

        :raises CapabilityError: if the server obeys no constraint of this kind.
        :raises InputError: if an engine option is one of the fields.
        """
        return constraint_fields(request, self.constraint_forms, self.model)

    def to_report(self) -> dict[str, Any]:
        """Return the known values for `BackendInfo.details`, without the vocabulary."""
        values = self.model_dump(exclude=NOT_REPORTED)
        values["decision_routes"] = self.decision_routes or NOT_PROBED
        return {name: value for name, value in values.items() if value not in (None, "", (), {})}


def load_capabilities(key: str, identity: str) -> ServerCapabilities | None:
    """Return the stored result of an earlier probe; None if there is none for this `identity`."""
    for name, max_age in ((_file(key), math.inf), (_temporary(key), RETRY_FAILED_PROBE_SECONDS)):
        content = read_cached(name, max_age_seconds=max_age)
        if content is None:
            continue
        try:
            capabilities = ServerCapabilities.model_validate_json(content)
        except ValidationError:
            continue
        if capabilities.identity == identity:
            return capabilities
    return None


def store_capabilities(
    key: str, capabilities: ServerCapabilities, *, has_failures: bool = False
) -> None:
    """Store the result of a probe. If the folder is not writable, the next model probes again.

    :param has_failures: whether a request failed inside the server, which did not say why. Some
        servers answer unknown requests this way, others were only busy. The result is then valid
        for minutes: long enough for the next commands, short enough for a server that was busy.
    """
    name = _temporary(key) if has_failures else _file(key)
    write_cached(name, capabilities.model_dump_json().encode())


def _temporary(key: str) -> str:
    return f"{_file(key)}.temporary"


def _file(key: str) -> str:
    name = hashlib.sha256(f"{FORMAT} {key}".encode()).hexdigest()[:32]
    return f"openai/servers/{name}"
