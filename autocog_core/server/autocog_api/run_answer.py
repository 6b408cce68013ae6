"""The answers of `/v1/runs` and `/v1/programs`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from autocog_core.automaton.inputs import InputType
from autocog_core.server.autocog_api.usage import CallUsage


class RunError(BaseModel):
    """Why a run has no complete path."""

    message: str
    where: str
    hint: str


class RunResult(BaseModel):
    """The best path of a run."""

    fields: dict[str, Any] = Field(
        default={}, description="The values of the named actions on the best path."
    )
    probs: dict[str, Any] = Field(
        default={},
        description="The probability of each choice and record by field; null if not known.",
    )
    prob_bounds: dict[str, Any] = Field(
        default={}, description="The lowest and the highest value of probabilities that are null."
    )
    distribution: dict[str, Any] = Field(
        default={}, description="The shares of all choices by field and value."
    )
    prob: float | None = Field(None, description="The product of the shares of the path.")
    margin: float | None = Field(None, description="How clear the least clear choice was, in nats.")
    logprob: float | None = Field(
        None, description="The log-probability of all decided tokens; null for minus infinity."
    )
    exact: bool | None = Field(None, description="Whether the numbers are the model's own.")
    tokens_evaluated: int = Field(description="Tokens that the models evaluated.")
    stopped_by: str | None = Field(description="The limit that ended the run.")
    error: RunError | None = Field(description="Why no path is complete.")
    tree: dict[str, Any] | None = Field(
        None, description="With `tree`: all paths, as `ThoughtTree.to_dict` writes them."
    )


class RunsAnswer(BaseModel):
    """The answer of `/v1/runs`."""

    object: Literal["runs"] = "runs"
    model: str = Field(description="The name of the model.")
    results: list[RunResult] = Field(description="One result for each row, in their order.")
    usage: CallUsage


class ProgramInput(BaseModel):
    """An input of a program."""

    type: InputType = Field(description="What its values are.")
    required: bool = Field(description="Whether a run needs a value.")
    default: Any = Field(None, description="The value if none is given.")
    description: str = Field(description="What it is for.")


class ProgramEntry(BaseModel):
    """A program that clients may run by name."""

    name: str = Field(description="Its name, for the field `program` of `POST /v1/runs`.")
    description: str = Field(description="What it does.")
    inputs: dict[str, ProgramInput] = Field(description="Its inputs.")


class ProgramList(BaseModel):
    """The programs that clients may run by name."""

    object: Literal["list"] = "list"
    data: list[ProgramEntry]
