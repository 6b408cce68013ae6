"""Hook of MkDocs: what a page links to outside docs/ is part of the site, under repository/.

The same links work where the repository is browsed. README.md is the start page; other Markdown
files become pages, and so do source files and folders.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Pages even if nothing links to them.
ALWAYS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
#: A link of Markdown to a file: what is before it, the path, and its anchor if it has one.
LINK = re.compile(r"(\]\()([^)\s:#]+)(#[^)\s]*)?(?=\))")
UNSEARCHED = "---\nsearch: {exclude: true}\n---\n\n"
#: How the files that may be shown are highlighted.
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".toml": "toml", ".h": "cpp"}


def uri_of(path: Path) -> str:
    """Where in the site's sources a file or folder of the repository is."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    if name == "README.md":
        return "index.md"
    return f"repository/{name}" if path.suffix == ".md" else f"repository/{name}.md"


def linked(markdown: str, folder: Path) -> list[Path]:
    """The files and folders of the repository that a page in `folder` links to."""
    paths = [Path(os.path.normpath(folder / match[2])) for match in LINK.finditer(markdown)]
    return [target(path) for path in paths if path.is_relative_to(ROOT) and path.exists()]


def target(path: Path) -> Path:
    """The README of a folder that has one, else the path itself."""
    readme = path / "README.md"
    return readme if readme.is_file() else path


def content(path: Path) -> str:
    """The Markdown of a page that shows a file or folder."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    title = f"{UNSEARCHED}# {path.relative_to(ROOT).as_posix()}\n\n"
    if path.is_dir():
        inside = [part for part in sorted(path.iterdir()) if part.suffix in {*LANGUAGES, ".md"}]
        return title + "".join(f"- [{part.name}]({path.name}/{part.name})\n" for part in inside)
    # Four, so that the file may have fences of its own.
    fence = "````"
    text = path.read_text(encoding="utf-8")
    return f"{title}{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n"


#: The file or folder of the repository that each page shows, by the page's place in the sources.
shown: dict[str, Path] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to, and those that these link to."""
    shown.clear()
    open_paths = [*DOCS.rglob("*.md"), *(ROOT / name for name in ALWAYS)]
    while open_paths:
        path = open_paths.pop()
        uri = uri_of(path)
        if uri in shown:
            continue
        shown[uri] = path
        if path.is_relative_to(DOCS) and path.suffix != ".md":
            # A picture, or a notebook: part of the site as it is.
            continue
        markdown = content(path)
        if not path.is_relative_to(DOCS):
            files.append(File.generated(config, uri, content=markdown))
        if path.suffix == ".md" or path.is_dir():
            open_paths += linked(markdown, path.parent)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to the pages of the site."""
    source = shown.get(page.file.src_uri)
    # A notebook is none of the pages that this hook knows.
    if source is None or (source.is_file() and source.suffix != ".md"):
        return markdown
    here = Path(page.file.src_uri).parent

    def moved(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(source.parent / match[2]))
        if not path.is_relative_to(ROOT) or not path.exists():
            return match[0]
        uri = os.path.relpath(uri_of(target(path)), here)
        return f"{match[1]}{Path(uri).as_posix()}{match[3] or ''}"

    return LINK.sub(moved, markdown)
