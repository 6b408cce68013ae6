"""Isolated queries: each is evaluated by itself, and those that begin alike share their start.

With quantized weights, the numbers of a token depend on the shape of the batch that it is evaluated
in, and on the cells that it reads. So the start of a query is evaluated from an empty memory, the
rest of the query continues it, and then all but the start is removed from memory. The next query
with the same start finds exactly the memory that the first one found.
"""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core import EngineError, TreeQuery, TreeScores
from autocog_llamacpp.llama.session import Session


def score_queries(session: Session, queries: Sequence[TreeQuery]) -> list[TreeScores]:
    """Score token trees: those that are not isolated together, and each other one by itself.

    :returns: the answers, in the order of the queries.
    """
    alone = [index for index, query in enumerate(queries) if query.isolated_start is not None]
    if not alone:
        return session.score_trees(queries)
    if session.in_use:
        raise EngineError(
            "an isolated call needs the memory that the running completion holds",
            where="isolate",
            hint="make the call after the completion, or without isolate",
        )
    together = [index for index, query in enumerate(queries) if query.isolated_start is None]
    scores: dict[int, TreeScores] = {}
    if together:
        answers = session.score_trees([queries[index] for index in together])
        scores = dict(zip(together, answers, strict=True))
    # Queries with the same start one after the other: memory holds one start at a time.
    for index in sorted(alone, key=lambda index: start_tokens(queries[index])):
        scores[index] = session.score_isolated(queries[index])
    return [scores[index] for index in range(len(queries))]


def start_tokens(query: TreeQuery) -> tuple[int, ...]:
    """Return the tokens of an isolated query that are evaluated before the others."""
    return tuple(query.prefix[: query.isolated_start])
