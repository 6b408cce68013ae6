"""The budget of a run: what a client asks for, within the server's limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from autocog_core.config.server_config import ServerLimits
from autocog_core.hooks.automaton_run import Budget
from autocog_core.server.request_body import Body
from autocog_core.server.whole_numbers import Positive


class BudgetBody(Body):
    """Limits of a run; at one of them, it returns the tree so far."""

    tokens: Positive | None = Field(default=None, description="Tokens that the models evaluate.")
    paths: Positive | None = Field(default=None, description="Paths that the run starts.")
    seconds: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Elapsed time.")
    nodes: Positive | None = Field(default=None, description="Nodes of one path.")


def run_budget(limits: ServerLimits, requested: BudgetBody | None = None) -> Budget:
    """Return the budget of a run.

    :param limits: the limits of the server, which no client exceeds.
    :param requested: what the client asks for.
    """
    requested = requested or BudgetBody()
    return Budget(
        tokens=requested.tokens,
        paths=min(requested.paths or limits.paths, limits.paths),
        seconds=min(requested.seconds or limits.request_seconds, limits.request_seconds),
        nodes=min(requested.nodes or limits.nodes, limits.nodes),
    )
