"""The page and the files that it loads, as what a browser is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup

from autocog_core.controls import control_signs
from autocog_core.html.page import read_asset, script_json
from autocog_core.html.tree_page import EXPLORER_SCRIPTS, EXPLORER_STYLES

#: Files of `autocog_core/html/assets` that the page shares with the pages of results.
SHARED_STYLES = ("page.css", *EXPLORER_STYLES)

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    :ivar content: its bytes.
    :ivar media_type: its type for HTTP.
    """

    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A tag that changes with the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


@cache
def index_page() -> PageFile:
    """Return the page itself."""
    source = files(__package__).joinpath("index.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(source).render(
        styles=[*SHARED_STYLES, "choose.css"],
        scripts=EXPLORER_SCRIPTS,
        control_signs=Markup(script_json(control_signs())),  # noqa: S704
    )
    return PageFile(text.encode(), "text/html; charset=utf-8")


@cache
def page_files() -> Mapping[str, PageFile]:
    """Return the scripts and styles of the page by their names; nothing else can be asked for."""
    own = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in files(__package__).iterdir()
        if entry.name.endswith(tuple(_MEDIA_TYPES))
    }
    shared = {name: read_asset(name) for name in (*SHARED_STYLES, *EXPLORER_SCRIPTS)}
    return {name: _page_file(name, text) for name, text in {**shared, **own}.items()}


def _page_file(name: str, text: str) -> PageFile:
    kind = next(kind for end, kind in _MEDIA_TYPES.items() if name.endswith(end))
    return PageFile(text.encode(), f"{kind}; charset=utf-8")
