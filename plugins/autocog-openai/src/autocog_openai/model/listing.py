"""What `/v1/models` says about a model. A model that is not listed may still answer.

System One has the list under `models`, with names, where OpenAI has `data`, with ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocog_core.toolkit import shorten
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import AccessDeniedError

#: `owned_by` of servers that have one model and accept any name for it.
SINGLE_MODEL_OWNERS = ("llamacpp", "me")
#: Fields of an entry that identify a model. Others change while the model stays the same: a
#: status, a price, a description.
IDENTIFYING_FIELDS = (
    *("id", "root", "parent", "owned_by", "max_model_len", "digest", "revision"),
    "release_date",
)
IDENTIFYING_META = ("vocab_type", "n_vocab", "n_ctx_train", "n_embd", "n_params", "size")
MAX_LISTED_MODELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelListing:
    """The part of a listing that concerns one model.

    :ivar entry: the model's entry; empty if it is not listed.
    :ivar owner: `owned_by` of the entry. Without an entry, that of all models, if it is the same.
    :ivar others: the names in a listing that does not contain the model.
    """

    entry: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    others: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """The fields of the entry that identify the model."""
        fields = {name: self.entry[name] for name in IDENTIFYING_FIELDS if name in self.entry}
        meta = self.entry.get("meta")
        if isinstance(meta, Mapping):
            fields["meta"] = {name: meta[name] for name in IDENTIFYING_META if name in meta}
        return fields

    @property
    def hint(self) -> str:
        """The names of the models that the server lists in place of this one."""
        if not self.others:
            return ""
        return "it has: " + ", ".join(shorten(name) for name in self.others[:MAX_LISTED_MODELS])


def list_model(connection: Connection) -> ModelListing:
    """Return what the server lists. A key that may not list may still be right."""
    model = connection.options.model
    try:
        answer = attempt(lambda: connection.get("v1/models"))
    except AccessDeniedError:
        return ModelListing()
    data = (answer.get("data") or answer.get("models")) if isinstance(answer, Mapping) else None
    entries = [each for each in _items(data) if isinstance(each, Mapping)]
    entry = next((each for each in entries if model in _names(each)), None)
    if entry is None and len(entries) == 1 and entries[0].get("owned_by") in SINGLE_MODEL_OWNERS:
        entry = entries[0]
    if entry is not None:
        return ModelListing(entry=entry, owner=str(entry.get("owned_by")))
    owners = {str(each.get("owned_by")) for each in entries}
    return ModelListing(
        owner=owners.pop() if len(owners) == 1 else "",
        others=tuple(str(each.get("id") or each.get("name")) for each in entries),
    )


def _names(entry: Mapping[str, Any]) -> Sequence[Any]:
    return [*map(entry.get, ("id", "root", "name")), *_items(entry.get("aliases"))]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
