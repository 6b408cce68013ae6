"""`POST /v1/runs`: programs on rows of inputs. `GET /v1/programs`: programs that have a name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Discriminator, Field, Tag

from autocog_core.automaton.inputs import REQUIRED, Input
from autocog_core.automaton.winners import ChoiceProbs
from autocog_core.dataset.output_row import make_error_row, make_output_row
from autocog_core.errors import InputError
from autocog_core.evaluation.evaluation import Order, Strategy
from autocog_core.model.automaton import Automaton
from autocog_core.server.autocog_api.program_limits import check_program
from autocog_core.server.autocog_api.run_answer import (
    ProgramEntry,
    ProgramInput,
    ProgramList,
    RunsAnswer,
)
from autocog_core.server.autocog_api.run_budget import BudgetBody, run_budget
from autocog_core.server.autocog_api.usage import usage_of
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.named_calls import check_count, make_named_calls
from autocog_core.server.request_body import ModelBody, PlainObject, kind_of
from autocog_core.server.request_calls import Calls
from autocog_core.server.server_state import ServerState
from autocog_core.server.whole_numbers import Positive
from autocog_core.types.thought_tree import ThoughtTree

router = APIRouter(tags=["programs"])


class RunBody(ModelBody):
    """A program, its inputs, and the arguments of `Automaton.run`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "program": {
                        "inputs": {"text": "text"},
                        "actions": [
                            {"text": "Review: {{ text }}\nSentiment:"},
                            {"choices": [" good", " bad"], "name": "sentiment"},
                        ],
                    },
                    "inputs": [{"text": "I like it."}, {"text": "It broke."}],
                }
            ]
        }
    )

    program: Annotated[
        Annotated[str, Tag("<text>")] | Annotated[PlainObject, Tag("<object>")],
        Discriminator(kind_of),
    ] = Field(
        description="A program as in a program file, or the name of one of `GET /v1/programs`."
    )
    inputs: Annotated[
        Annotated[PlainObject, Tag("<object>")]
        | Annotated[list[PlainObject], Field(fail_fast=True, min_length=1), Tag("<list>")],
        Discriminator(kind_of),
    ] = Field(default={}, description="The values of its inputs: one row, or a list of rows.")
    tree: bool = Field(False, description="Give all paths, too.")
    budget: BudgetBody | None = Field(
        None, description="Limits of each run; the server has its own."
    )
    strategy: Strategy | None = Field(
        None, description="How texts are scored. Default: the best that the model supports."
    )
    order: Order = Field("breadth_first", description="The order in which paths advance.")
    top: Positive | None = Field(
        None, description="With best_first: stop once so many paths are proven to be the likeliest."
    )
    probs: ChoiceProbs = Field(
        "all", description="winner: read only what proves the best choice of each action."
    )

    def options(self) -> dict[str, Any]:
        """Return the arguments of `Automaton.run` that differ from their defaults."""
        given: dict[str, Any] = {"strategy": self.strategy, "top": self.top}
        given |= {"order": None if self.order == "breadth_first" else self.order}
        given |= {"probs": None if self.probs == "all" else self.probs}
        return {name: value for name, value in given.items() if value is not None}


@router.post("/v1/runs", response_model=RunsAnswer)
async def run(body: RunBody, calls: Calls) -> JsonAnswer:
    """Run a program on rows of inputs.

    The answer has one result for each row. A row whose run has no complete path has an `error` in
    its result; other errors are those of the request.
    """
    limits = calls.state.config.limits
    rows = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    check_count("rows", len(rows), limits, "inputs")
    automaton = await asyncio.to_thread(_program_of, calls.state, body.program)
    model = await calls.model(body.model)
    options = {**body.options(), "budget": run_budget(limits, body.budget)}
    names = sorted({action.model for action in automaton.all_actions if action.model is not None})
    if names:
        # Only served models: a program cannot load others.
        options["models"] = {name: (await calls.model(name)).model for name in names}
    trees = await make_named_calls(
        calls, model, "row", [partial(model.calls.run, automaton, row, **options) for row in rows]
    )
    return await json_answer(
        lambda: {
            "object": "runs",
            "model": model.name,
            "results": [_result(index, tree, body.tree) for index, tree in enumerate(trees)],
            "usage": usage_of(tree.stats.get("tokens_evaluated") for tree in trees),
        },
        entries=sum(len(tree.nodes) for tree in trees),
    )


@router.get("/v1/programs")
def list_programs(request: Request) -> ProgramList:
    """List the programs that clients may run by name."""
    state: ServerState = request.app.state.server
    return ProgramList(
        data=[
            ProgramEntry(
                name=name,
                description=automaton.description,
                inputs={key: _input_entry(entry) for key, entry in automaton.inputs.items()},
            )
            for name, automaton in state.programs.readable()
        ]
    )


def _program_of(state: ServerState, program: str | Mapping[str, Any]) -> Automaton:
    """Return a program without errors. It is checked here, so that the engine need not wait."""
    if isinstance(program, str):
        return state.programs.get(program)
    automaton = Automaton.from_dict(program)
    automaton.require_sound()
    check_program(automaton, state.config.limits)
    return automaton


def _result(index: int, tree: ThoughtTree, with_tree: bool) -> dict[str, Any]:
    try:
        row = make_output_row(index, tree)
    except InputError as error:
        row = {
            **make_error_row(index, error),
            "tokens_evaluated": tree.stats.get("tokens_evaluated", 0),
            "stopped_by": tree.stopped_by,
        }
    del row["row"]
    return {**row, "tree": tree.to_dict()} if with_tree else row


def _input_entry(declared: Input) -> ProgramInput:
    is_required = declared.default is REQUIRED
    return ProgramInput(
        type=declared.type,
        required=is_required,
        default=None if is_required else declared.default,
        description=declared.description,
    )
