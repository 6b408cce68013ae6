"""One HTML page in one file: its styles, scripts and data are inside, and it requests nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from autocog_core.controls import picture_controls
from autocog_core.html.tokens import exp_text, logprob_text

#: What ends a script or begins markup, line ends in older scripts, and what no encoding has.
_UNSAFE_IN_JSON = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def render_page(
    title: str,
    body: Markup,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Mapping[str, object] | None = None,
) -> str:
    """Return a page that is complete in itself, light or dark as its reader prefers.

    Its Content-Security-Policy forbids every request.

    :param title: the page's title, as text.
    :param body: what is inside `<main>`.
    :param styles: files of `autocog_core/html/assets` with styles, added to `page.css`.
    :param scripts: files of `autocog_core/html/assets` with scripts, which run in this order.
    :param data: for the scripts, JSON data by the id of the element that holds it.
    """
    return render_template(
        "page.html",
        title=title,
        body=body,
        styles=[Markup(read_asset(name)) for name in ("page.css", *styles)],  # noqa: S704
        scripts=[Markup(read_asset(name)) for name in scripts],  # noqa: S704
        data={key: Markup(script_json(value)) for key, value in (data or {}).items()},  # noqa: S704
    )


def render_template(name: str, **values: Any) -> Markup:
    """Return a template of `autocog_core/html/templates` with its values.

    Every value is text, and is escaped, unless it is `Markup`. Characters that are not seen have a
    visible sign.

    :param name: the template's file.
    :param values: its variables.
    """
    return Markup(_environment().get_template(name).render(values))  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("autocog_core.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.globals |= {"exp_text": exp_text, "logprob_text": logprob_text}
    return environment


def _visible(value: Any) -> Any:
    return picture_controls(value) if isinstance(value, str) and type(value) is str else value


@cache
def read_asset(name: str) -> str:
    """Return a script or a style of `autocog_core/html/assets`, as it is.

    :param name: its file.
    """
    return files("autocog_core.html").joinpath("assets", name).read_text(encoding="utf-8")


def script_json(value: object) -> str:
    """Return JSON that no script element ends in; a parser reads the same value.

    :param value: plain data.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
