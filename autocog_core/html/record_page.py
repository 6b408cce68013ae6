"""The page of a record: its fields with their distributions, its JSON, and the tree of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from autocog_core.html.page import render_page, render_template
from autocog_core.html.tokens import logprob_text, prob_text
from autocog_core.html.tree_data import tree_data
from autocog_core.html.tree_page import EXPLORER_SCRIPTS, EXPLORER_STYLES
from autocog_core.records.result import RecordField, TypedRecord
from autocog_core.types.token_texts import Detokenizer

#: Alternatives of a field that are shown at once; the others are folded.
_MAX_SHOWN = 4


def record_page(record: TypedRecord[Any], model: Detokenizer | None, title: str = "Record") -> str:
    """Return a page that shows a record.

    :param record: the record.
    :param model: the model, which knows the texts of tokens.
    :param title: the page's title.
    """
    tree = record.tree if model is None else record.tree.with_token_bytes(model)
    body = render_template(
        "record.html",
        title=title,
        facts=list(_facts(record)),
        fields=[_field(each) for each in record.fields.values()],
        json_text=json.dumps(record.data, ensure_ascii=False, indent=2),
        reason="" if record.exact else record.reason,
    )
    return render_page(
        title,
        body,
        styles=EXPLORER_STYLES,
        scripts=(*EXPLORER_SCRIPTS, "tree_page.js"),
        data={"tree": tree_data(tree)},
    )


def _facts(record: TypedRecord[Any]) -> Iterator[tuple[str, str]]:
    yield "probability of the record", prob_text(record.prob)
    yield "log-probability", logprob_text(record.logprob)
    yield "exact", "yes: the model's own numbers" if record.exact else "no"


def _field(field: RecordField) -> dict[str, Any]:
    alternatives = [
        {"text": _json(each.value), "prob": each.prob, "share": prob_text(each.prob)}
        for each in field.alternatives
        if not _is_same(each.value, field.value)
    ]
    return {
        "path": field.path or "(the record)",
        "text": _json(field.value),
        "prob": field.prob,
        "share": prob_text(field.prob),
        "logprob": logprob_text(field.logprob),
        "shown": alternatives[:_MAX_SHOWN],
        "folded": alternatives[_MAX_SHOWN:],
        "node": field.nodes[-1] if field.nodes else None,
    }


def _is_same(first: Any, second: Any) -> bool:
    # True equals 1 in Python, but not in JSON.
    return type(first) is type(second) and first == second


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
