"""How servers receive a constraint on the text: as fields of a request, which differ.

The probe finds out which of them a server obeys: many servers ignore fields that they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from autocog_core import CapabilityError, CompletionRequest, Constraint, ConstraintKind, InputError
from autocog_core.toolkit import lark_of

#: "response_format", "text_format": OpenAI's chat and responses routes. "json_object":
#: llama-cpp-python. "structured_outputs": vLLM; "guided": its releases before 0.12. "sglang":
#: SGLang. "llguidance": llama-server built with llguidance; "llama_schema": any llama-server.
ConstraintForm = Literal[
    "response_format",
    "text_format",
    "json_object",
    "structured_outputs",
    "guided",
    "sglang",
    "llguidance",
    "llama_schema",
]
#: The fields of all forms. A server's refusal of one of them is an error: without it, the text
#: would be another one.
FIELDS = (
    *("response_format", "text", "structured_outputs", "guided_regex", "guided_grammar"),
    *("guided_json", "regex", "ebnf", "json_schema", "grammar"),
)

_MakeFields = Callable[[Constraint], dict[str, Any]]


def _named_schema(source: str) -> dict[str, Any]:
    return {"name": "text", "strict": True, "schema": json.loads(source)}


def _llguidance(constraint: Constraint) -> dict[str, Any]:
    lark = lark_of(constraint)
    # The first line says that it is not in llama.cpp's own syntax. Without forcing, each spelling
    # of the text is allowed.
    is_marked = lark.startswith("%llguidance")
    return {"grammar": lark if is_marked else f'%llguidance {{"no_forcing": true}}\n{lark}'}


_FORMS: Mapping[ConstraintForm, Mapping[ConstraintKind, _MakeFields]] = {
    "response_format": {
        "json_schema": lambda c: {
            "response_format": {"type": "json_schema", "json_schema": _named_schema(c.source)}
        }
    },
    "text_format": {
        "json_schema": lambda c: {
            "text": {"format": {"type": "json_schema", **_named_schema(c.source)}}
        }
    },
    "json_object": {
        "json_schema": lambda c: {
            "response_format": {"type": "json_object", "schema": json.loads(c.source)}
        }
    },
    "structured_outputs": {
        "regex": lambda c: {"structured_outputs": {"regex": c.source}},
        "grammar": lambda c: {"structured_outputs": {"grammar": c.source}},
        "json_schema": lambda c: {"structured_outputs": {"json": json.loads(c.source)}},
    },
    "guided": {
        "regex": lambda c: {"guided_regex": c.source},
        "grammar": lambda c: {"guided_grammar": c.source},
        "json_schema": lambda c: {"guided_json": json.loads(c.source)},
    },
    "sglang": {
        "regex": lambda c: {"regex": c.source},
        "grammar": lambda c: {"ebnf": c.source},
        "json_schema": lambda c: {"json_schema": c.source},
    },
    "llguidance": {
        "regex": _llguidance,
        "grammar": _llguidance,
        "json_schema": _llguidance,
    },
    "llama_schema": {"json_schema": lambda c: {"json_schema": json.loads(c.source)}},
}


def serves(form: ConstraintForm, kind: ConstraintKind) -> bool:
    """Whether a form has fields for constraints of a kind."""
    return kind in _FORMS[form]


def constraint_fields(
    request: CompletionRequest, forms: Mapping[str, ConstraintForm], where: str
) -> dict[str, Any]:
    """Return the fields of a request that constrain its text; none without a constraint.

    :param request: the request.
    :param forms: the form in which the server obeys a constraint, by kind.
    :param where: the model and the server, for error messages.
    :raises CapabilityError: if the server obeys no constraint of this kind.
    :raises InputError: if an engine option is one of the fields.
    """
    constraint = request.constraint
    if constraint is None:
        return {}
    form = forms.get(constraint.kind)
    if form is None:
        offered = ", ".join(forms) or "none"
        raise CapabilityError(
            f"the server does not constrain texts by {constraint.kind} (it obeys: {offered})",
            where=where,
            hint="use a model with token distributions, for example with the backend llamacpp",
        )
    fields = _FORMS[form][constraint.kind](constraint)
    for name in fields:
        if name in request.extra:
            raise InputError(f"is given beside {constraint.kind}", where=name)
    return fields
