"""`autocog docs`: the documentation in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from autocog_core.cli.doc_pages import all_pages, find_page
from autocog_core.cli.output import new_table, show
from autocog_core.cli.session import session
from autocog_core.cli.text import Text


def docs(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="[PAGE]",
            help="A page, for example toolkit, or a section of it, for example "
            "toolkit#rowbatches (default: list the pages).",
        ),
    ] = None,
    *,
    path: Annotated[
        bool, typer.Option("--path", help="Print the path of the page's file, a Markdown file.")
    ] = False,
) -> None:
    """List the pages of the documentation, or print one.

    They are those of the installed version. In a printed page, a link to another page is followed
    by that page's name.
    """
    if page is None:
        table = new_table()
        table.add_column("page", no_wrap=True)
        table.add_column("title" if not path else "path", overflow="fold")
        for each in all_pages():
            table.add_row(Text(each.name), Text(str(each.path) if path else each.title))
        show(table)
        session.info("autocog docs PAGE prints one.")
        return
    name, _, anchor = page.partition("#")
    found = find_page(name)
    if path:
        show(Text(str(found.path), overflow="ignore", no_wrap=True))
        return
    # It takes long to import.
    from rich.markdown import Markdown

    show(Markdown(found.markdown(anchor), hyperlinks=False))
