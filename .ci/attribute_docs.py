"""Extension of griffe: the site shows `#:` comments and the descriptions of pydantic fields.

Both become docstrings of their attributes, which griffe does not do itself.
"""

from __future__ import annotations

import ast
from typing import Any

from griffe import Attribute, Docstring, ExprCall, ExprKeyword, Extension, Visitor

COMMENT = "#:"


class AttributeDocs(Extension):
    """Gives a module's attributes their comments, and fields their descriptions."""

    def on_attribute_instance(
        self, *, node: Any, attr: Attribute, agent: Any, **kwargs: Any
    ) -> None:
        """Set the docstring of an attribute.

        :param attr: the attribute.
        :param agent: has the source of its module.
        """
        if attr.docstring is not None or attr.lineno is None or not isinstance(agent, Visitor):
            return
        text = ""
        if isinstance(attr.value, ExprCall) and str(attr.value.function) == "Field":
            text = set_field_default(attr, attr.value)
        elif attr.parent is not None and attr.parent.is_module:
            text = comment_above(agent.code.splitlines(), attr.lineno)
        if text:
            attr.docstring = Docstring(text, parent=attr, lineno=attr.lineno)


def set_field_default(attr: Attribute, call: ExprCall) -> str:
    """Return a field's description, and show its default in place of the call of `Field`."""
    keywords = {item.name: item.value for item in call.arguments if isinstance(item, ExprKeyword)}
    first = call.arguments[0] if call.arguments else None
    attr.value = keywords.get("default") if isinstance(first, ExprKeyword) else first
    try:
        text = str(ast.literal_eval(str(keywords.get("description", "''"))))
    except ValueError:  # an f-string
        return ""
    return f"{text[:1].upper()}{text[1:]}."


def comment_above(lines: list[str], lineno: int) -> str:
    """Return the text of the `#:` comment above a line."""
    start = lineno - 1
    while start > 0 and lines[start - 1].strip().startswith(COMMENT):
        start -= 1
    comment = (line.strip().removeprefix(COMMENT).strip() for line in lines[start : lineno - 1])
    return "\n".join(comment)
