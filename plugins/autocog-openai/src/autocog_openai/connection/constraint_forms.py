"""How servers receive a constraint on the text: as fields of a request, which differ.

The probe finds out which of them a server obeys: many servers ignore fields that they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from autocog_core import CapabilityError, CompletionRequest, ConstraintKind, InputError

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
#: JSON is written without blanks, of which small models may write too many.
_COMPACT = {"x-guidance": {"whitespace_flexible": False}}
_LLGUIDANCE = "%llguidance"

_MakeFields = Callable[[str], dict[str, Any]]


def _named_schema(source: str) -> dict[str, Any]:
    return {"name": "text", "strict": True, "schema": json.loads(source)}


def _llguidance(lark: str) -> dict[str, Any]:
    # The first line says that it is not in llama.cpp's own syntax.
    is_marked = lark.startswith(_LLGUIDANCE)
    return {"grammar": lark if is_marked else f"{_LLGUIDANCE} {{}}\n{lark}"}


def _lark_of_regex(pattern: str) -> str:
    from llguidance import LLMatcher

    (grammar,) = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"]
    return str(grammar["lark_grammar"])


def _lark_of_schema(source: str) -> str:
    schema = json.loads(source)
    if isinstance(schema, dict):
        schema = {**_COMPACT, **schema}
    return f"start: %json {json.dumps(schema, ensure_ascii=False)}"


_FORMS: Mapping[ConstraintForm, Mapping[ConstraintKind, _MakeFields]] = {
    "response_format": {
        "json_schema": lambda source: {
            "response_format": {"type": "json_schema", "json_schema": _named_schema(source)}
        }
    },
    "text_format": {
        "json_schema": lambda source: {
            "text": {"format": {"type": "json_schema", **_named_schema(source)}}
        }
    },
    "json_object": {
        "json_schema": lambda source: {
            "response_format": {"type": "json_object", "schema": json.loads(source)}
        }
    },
    "structured_outputs": {
        "regex": lambda source: {"structured_outputs": {"regex": source}},
        "grammar": lambda source: {"structured_outputs": {"grammar": source}},
        "json_schema": lambda source: {"structured_outputs": {"json": json.loads(source)}},
    },
    "guided": {
        "regex": lambda source: {"guided_regex": source},
        "grammar": lambda source: {"guided_grammar": source},
        "json_schema": lambda source: {"guided_json": json.loads(source)},
    },
    "sglang": {
        "regex": lambda source: {"regex": source},
        "grammar": lambda source: {"ebnf": source},
        "json_schema": lambda source: {"json_schema": source},
    },
    "llguidance": {
        "regex": lambda source: _llguidance(_lark_of_regex(source)),
        "grammar": _llguidance,
        "json_schema": lambda source: _llguidance(_lark_of_schema(source)),
    },
    "llama_schema": {"json_schema": lambda source: {"json_schema": json.loads(source)}},
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
    fields = _FORMS[form][constraint.kind](constraint.source)
    for name in fields:
        if name in request.extra:
            raise InputError(f"is given beside {constraint.kind}", where=name)
    return fields
