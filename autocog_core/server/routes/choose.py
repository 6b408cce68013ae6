"""`POST /v1/choose`: everything that `Model.choose` and `choose_many` take."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Discriminator, Field, Tag

from autocog_core.server.autocog_api.choices import ChoicesBody, choices_of_prompts
from autocog_core.server.autocog_api.choose_answer import ChooseAnswer
from autocog_core.server.autocog_api.prompts import PromptsBody
from autocog_core.server.autocog_api.usage import usage_of
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.named_calls import check_count, make_named_calls
from autocog_core.server.request_body import Body, kind_of
from autocog_core.server.request_calls import Calls
from autocog_core.server.whole_numbers import Positive
from autocog_core.types.choice import EOS, Norm

router = APIRouter(tags=["choices"])


class EosBody(Body):
    """The end of the sequence."""

    eos: Literal[True] = Field(description="The model must end the text after the choice.")


class ChooseBody(PromptsBody):
    """The arguments of `Model.choose`, for one prompt or many."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"prompt": "The sky is", "choices": [" blue", " green"]},
                {
                    "prompts": ["2 + 2 =", "Water is wet:"],
                    "choices": [[" 4", " 5"], [{"text": " yes", "value": True}, " no"]],
                    "norm": "mean",
                },
            ]
        }
    )

    choices: ChoicesBody = Field(
        description="Texts that may continue the prompt: one list for all prompts, or one list a "
        "prompt.",
    )
    norm: Norm = Field("sum", description="The score that ranks the choices.")
    suffix: (
        Annotated[
            Annotated[str, Tag("<text>")] | Annotated[EosBody, Tag("<object>")],
            Discriminator(kind_of),
        ]
        | None
    ) = Field(None, description='Text that must follow the choice, or {"eos": true}.')
    boundary: Literal["heal", "strict"] = Field(
        "heal", description="strict: an error where the end of the prompt would be tokenized again."
    )
    method: str | None = Field(None, description="One of the backend's methods. Default: the best.")
    unconditional_prompt: str | None = Field(
        None, description="For the norm pmi: the text that takes the place of the prompt."
    )
    top: Positive | None = Field(
        None, description="Read only what proves so many of the best choices."
    )
    within: float | None = Field(
        None, ge=0, le=1, description="With `top`: how well their probabilities must be known."
    )
    at_least: float | None = Field(
        None,
        ge=0,
        le=1,
        description="With `top`: read on until it is certain whether the best choice has at least "
        "this probability.",
    )
    isolate: bool = Field(
        False,
        description="No other prompt, and nothing that was evaluated before, changes a bit of the "
        "answer.",
    )

    def options(self) -> dict[str, Any]:
        """Return the arguments that all prompts share."""
        given: dict[str, Any] = {
            "method": self.method,
            "unconditional_prompt": self.unconditional_prompt,
            "top": self.top,
            "within": self.within,
            "at_least": self.at_least,
            "isolate": self.isolate or None,
            "suffix": EOS if isinstance(self.suffix, EosBody) else self.suffix,
        }
        return {
            "norm": self.norm,
            "boundary": self.boundary,
            **{name: value for name, value in given.items() if value is not None},
        }


@router.post("/v1/choose", response_model=ChooseAnswer)
async def choose(body: ChooseBody, calls: Calls) -> JsonAnswer:
    """Score texts as continuations of prompts.

    The answer has one result for each prompt, as `ChoiceScores.to_dict` writes it; with `top`, as
    `TopChoices.to_dict` does.
    """
    limits = calls.state.config.limits
    prompts, options = body.calls(), body.options()
    check_count("prompts", len(prompts), limits, "prompts")
    choices = choices_of_prompts(body.choices, len(prompts), limits)
    model = await calls.model(body.model)
    results = await make_named_calls(
        calls,
        model,
        "prompt",
        [
            partial(model.calls.choose, choices=texts, **prompt, **options)
            for prompt, texts in zip(prompts, choices, strict=True)
        ],
    )
    return await json_answer(
        lambda: {
            "object": "choices",
            "model": model.name,
            "results": [result.to_dict() for result in results],
            "usage": usage_of(result.tokens_evaluated for result in results),
        },
        entries=sum(map(len, choices)),
    )
