"""What results have in common: a page, and a cell of a notebook."""

from __future__ import annotations

from typing import ClassVar

from autocog_core.lazy import import_lazily
from autocog_core.types.token_texts import Detokenizer


class ShownResult:
    """A result that has a page of its own.

    :cvar page_name: the function that makes the page, in the module of the same name; its title.
    :cvar cell_name: the function that makes the cell of a notebook.
    """

    __slots__ = ()

    page_name: ClassVar[tuple[str, str]]
    cell_name: ClassVar[str]

    def to_html(self, model: Detokenizer | None = None, *, title: str | None = None) -> str:
        """Return a page that shows the result: one file, which requests nothing.

        :param model: the model, which knows the texts of the tokens; without it, pages show ids.
        :param title: the page's title; None for the kind of the result.
        """
        name, kind = self.page_name
        make = import_lazily(f"autocog_core.html.{name}", name)
        page: str = make(self, model, kind if title is None else title)
        return page

    def _repr_html_(self) -> str:
        """Return the result for a cell of a notebook."""
        html: str = import_lazily("autocog_core.html.notebook", self.cell_name)(self)
        return html
