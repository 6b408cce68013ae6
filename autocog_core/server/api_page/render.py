"""The page of routes as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from autocog_core.server.api_page.routes import routes_of, types_of


def render_api_page(document: Mapping[str, Any], url: str) -> str:
    """Return the page.

    :param document: the OpenAPI document.
    :param url: the URL of the server, for the examples.
    """
    source = files(__package__).joinpath("api.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["prose"] = _prose
    return environment.from_string(source).render(
        title=document["info"]["title"],
        version=document["info"]["version"],
        summary=document["info"].get("summary", ""),
        topics=routes_of(document, url),
        types=list(types_of(document)),
    )


def _prose(text: str) -> Markup:
    """Return a text, with what is between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )
