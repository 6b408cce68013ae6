"""The arguments that completions and chat completions have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from autocog_core.errors import did_you_mean
from autocog_core.model.model import Model
from autocog_core.server.openai_api.constraint_fields import ConstraintFields
from autocog_core.server.request_errors import RequestError

#: Arguments that change nothing in the answer: names, storage and billing at OpenAI.
IGNORED = frozenset(
    (
        *("user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"),
        *("prompt_cache_retention", "prompt_cache_options", "parallel_tool_calls"),
    )
)
#: Arguments that may be given if they ask for nothing.
NEUTRAL: Mapping[str, Sequence[Any]] = {
    "logit_bias": [{}],
    "tools": [[]],
    "tool_choice": ["none", "auto"],
    "functions": [[]],
    "function_call": ["none"],
    "modalities": [["text"]],
    "reasoning_effort": ["none"],
    "ignore_eos": [False],
    "min_tokens": [0],
    "use_beam_search": [False],
    "include_stop_str_in_output": [False],
    "stop_token_ids": [[]],
}
#: Arguments that only some backends have; the neutral value is the same as none.
ENGINE_ARGUMENTS: Mapping[str, float | None] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "typical_p": 1,
    "no_repeat_ngram_size": 0,
}
#: OpenAI's temperature, if neither the request nor the model's table in the config file has one.
DEFAULT_TEMPERATURE = 1.0


class StreamOptions(BaseModel):
    """Options of a stream.

    :ivar include_usage: whether an event with the usage comes before the end.
    """

    model_config = ConfigDict(extra="ignore")

    include_usage: bool | None = None


class GenerationBody(ConstraintFields):
    """The arguments of completions and chat completions.

    Arguments that are null count as not given. Unknown ones are refused by `unsupported`.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: str | None = Field(
        None, description="A name from `/v1/models`; without it, the default model."
    )
    max_tokens: int | None = Field(None, ge=0, description="The most tokens to write.")
    n: int | None = Field(None, ge=1, le=128, description="Number of texts for each prompt.")
    stop: str | list[str] | None = Field(None, description="Texts before which the text ends.")
    temperature: float | None = Field(
        None, ge=0, le=1e6, description="0 takes the likeliest token at each step; default: 1."
    )
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1, lt=2**31)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63, description="A sample repeats with its seed.")
    presence_penalty: float | None = Field(None, ge=-1e6, le=1e6)
    frequency_penalty: float | None = Field(None, ge=-1e6, le=1e6)
    repetition_penalty: float | None = Field(None, gt=0, le=1e6)
    typical_p: float | None = Field(None, gt=0, le=1)
    no_repeat_ngram_size: int | None = Field(None, ge=0, lt=2**31)
    stream: bool | None = Field(None, description="Send the text in server-sent events.")
    stream_options: StreamOptions | None = None
    return_tokens_as_token_ids: bool | None = Field(
        None, description='Name tokens by their ids, "token_id:5", instead of their texts.'
    )
    return_token_ids: bool | None = Field(
        None, description="Return the ids of the prompt and of the text."
    )

    @property
    def count(self) -> int:
        """How many texts each prompt gets."""
        return self.n or 1

    @property
    def wants_stream(self) -> bool:
        """Whether the answer is a stream."""
        return bool(self.stream)

    @property
    def wants_usage(self) -> bool:
        """Whether the stream has an event with the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def check_unknown(self) -> None:
        """Refuse arguments that would have to be ignored.

        :raises RequestError: naming the first one.
        """
        for name, value in (self.model_extra or {}).items():
            if value is None or name in IGNORED or value in NEUTRAL.get(name, ()):
                continue
            hint = (
                "leave it out"
                if name in NEUTRAL or len(name) > 80
                else did_you_mean(name, type(self).model_fields)
            )
            raise RequestError(
                f"{name[:80]} is not supported; {hint}", code="not_supported", parameter=name[:80]
            )

    def arguments(self, model: Model) -> dict[str, Any]:
        """Return the arguments of `Model.complete` but `max_tokens`.

        :param model: the model: its defaults apply before those of OpenAI.
        :raises RequestError: for several constraints, or one that is incomplete.
        """
        defaults = model.defaults()
        temperature = self.temperature
        if temperature is None:
            temperature = defaults.get("temperature", DEFAULT_TEMPERATURE)
        arguments: dict[str, Any] = {
            "n": self.count,
            "temperature": temperature,
            "stop": self.stop or None,
            "top_p": self.top_p,
            # -1 is vLLM's word for no limit.
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "min_p": self.min_p,
            "seed": self.seed,
            **self.constraint(),
        }
        for name, neutral in ENGINE_ARGUMENTS.items():
            value = getattr(self, name)
            if value is not None and value != neutral:
                arguments[name] = value
        return {name: value for name, value in arguments.items() if value is not None}
