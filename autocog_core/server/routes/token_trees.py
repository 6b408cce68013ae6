"""`POST /v1/token_trees`: log-probabilities of token trees, from which choices are scored.

With them, `autocog-openai` computes over HTTP what it would with the model in the process.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from autocog_core.scoring.prompt_encoding import check_sequence
from autocog_core.scoring.query_batches import MAX_PROBABILITIES_PER_CALL
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.request_body import ModelBody
from autocog_core.server.request_calls import Calls
from autocog_core.server.request_errors import RequestError
from autocog_core.server.whole_numbers import TokenId
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.json_number import to_json_number
from autocog_core.types.token_tree import TreeQuery, TreeScores

router = APIRouter(tags=["tokens"])
Node = Annotated[int, Field(ge=-1, lt=2**31)]


class TokenTreeQuery(BaseModel):
    """A tree of tokens that continue a prefix."""

    model_config = ConfigDict(extra="forbid")

    prefix: list[TokenId] = Field(min_length=1, description="The ids before the tree.")
    tokens: list[TokenId] = Field(default=[], description="The token of each node.")
    parents: list[Node] = Field(
        default=[], description="The parent of each node, which comes before it; -1: the prefix."
    )
    top_at: list[Node] = Field(
        default=[], description="Nodes after which the likeliest tokens are listed; -1: the prefix."
    )
    top_k: int = Field(0, ge=0, lt=2**31, description="How many are listed.")
    allowed: list[TokenId] | None = Field(
        None, description="List only these tokens; their log-probabilities stay the same."
    )

    with_mask_logprobs: bool = Field(
        False, description="Return the probability of all `allowed` tokens together, too."
    )
    isolated_start: int | None = Field(
        None,
        ge=0,
        description="Evaluate so many first ids by themselves, and then the others and the tree.",
    )

    def to_query(self, info: BackendInfo, where: str) -> TreeQuery:
        """Return the query of the model.

        :param info: the model's description: engines check nothing.
        :param where: the place in the body, for errors.
        :raises RequestError: for a tree that is none, or ids that do not exist.
        :raises ContextOverflowError: if a path does not fit the context.
        """
        size = info.vocabulary_size
        for name in ("prefix", "tokens", "allowed"):
            if any(token >= size for token in getattr(self, name) or ()):
                raise RequestError(f"ids are 0..{size - 1}", parameter=f"{where}.{name}")
        if len(self.parents) != len(self.tokens):
            raise RequestError("give one for each token", parameter=f"{where}.parents")
        depths: list[int] = []
        for node, parent in enumerate(self.parents):
            if parent >= node:
                raise RequestError(
                    f"node {node} must come after its parent", parameter=f"{where}.parents"
                )
            depths.append(1 + (depths[parent] if parent >= 0 else 0))
        if any(node >= len(self.tokens) for node in self.top_at):
            raise RequestError(f"nodes are -1..{len(self.tokens) - 1}", parameter=f"{where}.top_at")
        if self.top_at and not self.top_k:
            raise RequestError("must be 1 or more beside top_at", parameter=f"{where}.top_k")
        if self.isolated_start is not None and self.isolated_start >= len(self.prefix):
            raise RequestError(
                "must be less than the length of the prefix", parameter=f"{where}.isolated_start"
            )
        check_sequence(self.prefix, info, new_tokens=max(depths, default=0))
        mask = None
        if self.allowed is not None:
            mask = np.zeros(size, dtype=np.bool_)
            mask[self.allowed] = True
        return TreeQuery(
            prefix=tuple(self.prefix),
            tokens=np.array(self.tokens, dtype=np.int32),
            parents=np.array(self.parents, dtype=np.int32),
            top_at=np.array(self.top_at, dtype=np.int32),
            top_k=min(self.top_k, size) if self.top_at else 0,
            mask=mask,
            with_mask_logprobs=self.with_mask_logprobs,
            isolated_start=self.isolated_start,
        )


class TokenTreesBody(ModelBody):
    """Token trees."""

    queries: list[TokenTreeQuery] = Field(
        min_length=1,
        description="The trees.",
        examples=[[{"prefix": [72, 105], "top_at": [-1], "top_k": 3}]],
    )


class TokenTreeScores(TypedDict):
    """The log-probability of each node's token, and the likeliest tokens at the nodes of `top_at`.

    `mask_logprobs` has the log-probability of all allowed tokens at these nodes, if it is wanted. A
    log-probability of minus infinity is null.
    """

    values: list[float | None]
    top_tokens: list[list[int]]
    top_logprobs: list[list[float]]
    mask_logprobs: list[float | None] | None
    tokens_evaluated: int


class TokenTreesAnswer(TypedDict):
    """The scores of each tree, in order."""

    trees: list[TokenTreeScores]


@router.post("/v1/token_trees", response_model=TokenTreesAnswer)
async def score_trees(body: TokenTreesBody, calls: Calls) -> JsonAnswer:
    """Return the log-probabilities of token trees: exactly those of the model."""
    limits = calls.state.config.limits
    if len(body.queries) > limits.questions:
        raise RequestError(f"give at most {limits.questions:,} trees", parameter="queries")
    model = await calls.model(body.model)
    info = model.model.info
    queries = [query.to_query(info, f"queries.{index}") for index, query in enumerate(body.queries)]
    if sum(len(query.top_at) * query.top_k for query in queries) > MAX_PROBABILITIES_PER_CALL:
        raise RequestError(
            f"lists more than {MAX_PROBABILITIES_PER_CALL:,} tokens; ask for fewer at one time",
            parameter="queries",
        )
    scores = await calls.make(model, [model.calls.score_tree(query) for query in queries])
    return await json_answer(
        lambda: TokenTreesAnswer(trees=[_answer(tree) for tree in scores]),
        entries=sum(len(query.tokens) + len(query.top_at) * query.top_k for query in queries),
    )


def _answer(scores: TreeScores) -> TokenTreeScores:
    rows = [
        [(token, logprob) for token, logprob in zip(tokens, logprobs, strict=True) if token >= 0]
        for tokens, logprobs in zip(
            scores.top_tokens.tolist(), scores.top_logprobs.tolist(), strict=True
        )
    ]
    return TokenTreeScores(
        values=list(map(to_json_number, scores.values.tolist())),
        top_tokens=[[token for token, _ in row] for row in rows],
        top_logprobs=[[logprob for _, logprob in row] for row in rows],
        mask_logprobs=None
        if scores.mask_logprobs is None
        else list(map(to_json_number, scores.mask_logprobs.tolist())),
        tokens_evaluated=scores.tokens_evaluated,
    )
