"""The documentation's pages as files: where they are, their names, titles and links.

A wheel has a copy of the repository's pages, in folders as in the repository (pyproject.toml), so
that links between them are right in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path

from autocog_core.errors import InputError, suggest

_PACKAGE = Path(__file__).parents[1]
#: A wheel's copy of the repository's pages, else the repository.
ROOT = next(
    (
        folder
        for folder in (_PACKAGE / "documentation", _PACKAGE.parent)
        if (folder / "docs" / "tutorial.md").is_file()
    ),
    _PACKAGE / "documentation",
)
_DOCS = ROOT / "docs"
#: A link of Markdown, or a picture: its text, the path, and the anchor if it has one.
_LINK = re.compile(r"!?\[([^\]\[]+)\]\(([^)\s:#]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^(#+) +(.*)")
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
#: What the website replaces by the docstrings of a module, and its options.
_DOCSTRINGS = re.compile(r"^::: (\S+)\n(?:    .*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page.

    :ivar name: its path in docs/ without the suffix, such as `howto/few-shot`.
    """

    name: str

    @property
    def path(self) -> Path:
        """The file of the page."""
        return _DOCS / f"{self.name}.md"

    @property
    def title(self) -> str:
        """The first heading."""
        first = self._text().partition("\n")[0]
        return first.lstrip("# ")

    def markdown(self, anchor: str = "") -> str:
        """Return the page for a terminal: a link to a page names the page, one to a file its path.

        :param anchor: the anchor of a heading, to get only what is below it; "" for all.
        :raises InputError: if no heading has this anchor.
        """
        text = self._text()
        if anchor:
            text = self._section(text, anchor)
        text = _DOCSTRINGS.sub(r"`python -m pydoc \1` shows its docstrings.\n", text)
        return _LINK.sub(self._link_for_terminal, _COMMENT.sub("", text))

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def _link_for_terminal(self, match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = Path(normpath(self.path.parent / target)) if target else self.path
        if path.suffix == ".md" and path.is_relative_to(_DOCS):
            return f"[{text}]({_name_of(path)}{anchor})"
        # Spaces end the target of a link.
        return f"[{text}](<{path}>)" if path.exists() else text

    def _section(self, text: str, anchor: str) -> str:
        lines: list[str] = []
        depth = 0
        anchors = []
        for line, level in _levels(text):
            if depth and 0 < level <= depth:
                break
            if level:
                anchors.append(_anchor_of(line))
                depth = depth or (level if anchors[-1] == anchor else 0)
            if depth:
                lines.append(line)
        if not lines:
            raise InputError(
                f'the page has no section "{anchor}"',
                where=self.name,
                hint=suggest(anchor, anchors),
            )
        return "\n".join(lines) + "\n"


def all_pages() -> list[Page]:
    """Return all pages, those of the top folder first.

    :raises InputError: if they are not installed.
    """
    paths = sorted(_DOCS.rglob("*.md"), key=lambda path: (path.parent, path))
    if not paths:
        raise InputError(
            "the pages are not installed", where=str(_DOCS), hint="install autocog-core again"
        )
    return [Page(_name_of(path)) for path in paths]


def find_page(name: str) -> Page:
    """Return a page.

    :param name: its name, with or without "docs/" and ".md"; the last part is enough if no other
        page has it.
    :raises InputError: if there is no such page, or there are several.
    """
    wanted = name.removeprefix("docs/").removesuffix(".md")
    pages = {page.name: page for page in all_pages()}
    if wanted in pages:
        return pages[wanted]
    found = [page for page in pages.values() if page.name.rpartition("/")[2] == wanted]
    if len(found) == 1:
        return found[0]
    names = [page.name for page in found]
    hint = f"use {' or '.join(names)}" if names else suggest(wanted, list(pages))
    raise InputError(f'no page is called "{name}"', where="PAGE", hint=hint)


def _name_of(path: Path) -> str:
    return path.relative_to(_DOCS).with_suffix("").as_posix()


def _levels(text: str) -> Iterator[tuple[str, int]]:
    """Yield each line with its level if it is a heading, else with 0."""
    is_code = False
    for line in text.splitlines():
        is_code ^= bool(_FENCE.match(line))
        heading = None if is_code else _HEADING.match(line)
        yield line, len(heading[1]) if heading else 0


def _anchor_of(heading: str) -> str:
    """The anchor of a heading, as the website and repositories write it."""
    plain = re.sub(r"[^\w\s-]", "", _LINK.sub(r"\1", heading.lstrip("# ")).lower())
    return re.sub(r"\s", "-", plain.strip())
