"""The JSON Schema of a result tree; `autocog_core.types.thought_tree` documents the values."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from autocog_core.types.completion import FinishReason
from autocog_core.types.thought_node import NodeKind, Pruned


class NodeSchema(TypedDict):
    """A node. A missing key has its default, `value` the text. A null log-probability is -inf."""

    uid: str
    text: str
    value: NotRequired[Any]
    tokens: NotRequired[list[int]]
    logprobs: NotRequired[list[float | None]]
    path_logprob: NotRequired[float | None]
    length: NotRequired[int]
    prob: NotRequired[float | None]
    prob_bounds: NotRequired[list[float]]
    pruned_by: NotRequired[Pruned]
    finish_reason: NotRequired[FinishReason]
    last: NotRequired[bool]
    exact: NotRequired[bool]
    reason: NotRequired[str]
    retokenized: NotRequired[bool]
    unconditional_prompt: NotRequired[str]
    name: NotRequired[str]
    model: NotRequired[str]
    parent: NotRequired[int]
    context_parent: NotRequired[int]
    keys: NotRequired[list[str]]
    part: NotRequired[str]
    allowed: NotRequired[list[float | None]]
    prob_error: NotRequired[float]
    kind: NotRequired[NodeKind]
    question: NotRequired[int]
    kept_tokens: NotRequired[int]
    tokens_before: NotRequired[list[int]]
    tokens_parent: NotRequired[int]


class TreeSchema(TypedDict):
    """A result tree. Every node follows its parent."""

    format: Literal[1]
    stopped_by: Literal["tokens", "paths", "seconds", "nodes"] | None
    provenance: dict[str, Any]
    stats: dict[str, Any]
    repeats: NotRequired[dict[str, list[str]]]
    token_bytes: NotRequired[dict[str, dict[str, str]]]
    nodes: list[NodeSchema]


def validate_tree(data: Any) -> None:
    """Check the data of a result tree.

    :raises pydantic.ValidationError: if it is not what `ThoughtTree.to_dict()` returns.
    """
    TypeAdapter(TreeSchema).validate_python(data, strict=True)


def tree_schema() -> dict[str, Any]:
    """Return the JSON Schema of `ThoughtTree.to_dict()`."""
    schema = TypeAdapter(TreeSchema).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "autocog result tree",
    }
