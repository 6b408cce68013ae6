"""`autocog docs` lists and prints the pages; every link in them leads somewhere."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from autocog_core.cli.conformance_report import LAWS_PAGE
from autocog_core.cli.doc_pages import ROOT, Page, all_pages, find_page
from autocog_core.scaffold.plugin_kind import PLUGIN_KINDS
from tests.cli.conftest import Run

REPOSITORY = Path(__file__).parents[2]
#: A link as a page in the terminal has it: a page's name, or a path.
SHOWN_LINK = re.compile(r"\]\((?!https?:)(?:<([^>]+)>|([^)\s#]+)(?:#([^)\s]+))?)\)")


def test_the_list_has_every_page_with_its_title(run: Run) -> None:
    lines = run("docs").stdout.splitlines()[2:]
    names = {path.relative_to(REPOSITORY / "docs") for path in REPOSITORY.glob("docs/**/*.md")}
    assert {line.split()[0] for line in lines} == {str(name.with_suffix("")) for name in names}
    assert any(line.split(maxsplit=1)[1].strip() == "The toolkit" for line in lines)


def test_a_page_is_found_by_each_way_to_write_its_name(run: Run, wrong: Callable[..., str]) -> None:
    written = ["howto/few-shot", "few-shot", "docs/howto/few-shot.md", "howto/few-shot.md"]
    assert len({run("docs", name).stdout for name in written}) == 1
    assert run("docs", "few-shot", "--path").stdout == f"{ROOT / 'docs/howto/few-shot.md'}\n"
    section = run("docs", "toolkit#rowbatches").stdout
    assert section.startswith("RowBatches")
    assert "NumpyScoreCollector" not in section
    assert 'did you mean "toolkit"?' in wrong("docs", "tolkit")
    assert 'did you mean "rowbatches"?' in wrong("docs", "toolkit#row-batches")


def test_a_printed_page_says_what_to_type_for_its_links(run: Run) -> None:
    text = " ".join(run("docs", "toolkit").stdout.split())
    assert "Writing a backend (writing-a-backend)" in text
    assert "(writing-a-backend#trees-as-rows-of-tokens)" in text
    assert "python -m pydoc autocog_core.toolkit" in run("docs", "reference/toolkit").stdout
    assert "<!--" not in Page("writing-a-backend").markdown()


def test_every_link_leads_to_a_page_a_section_or_an_installed_file() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    installed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    count = 0
    for page in all_pages():
        for path, name, anchor in SHOWN_LINK.findall(page.markdown()):
            if path:
                assert Path(path).exists()
                count += any(Path(path).is_relative_to(ROOT / folder) for folder in installed)
            else:
                assert find_page(name).markdown(anchor)
                count += 1
    assert count > 200
    # Authors of plugins get whole examples, not only pages.
    assert {"docs", "examples/ngram", "examples/ctranslate2"} <= set(installed)


def test_new_plugins_point_to_sections_that_exist(run: Run, folder: Path) -> None:
    for kind in PLUGIN_KINDS.values():
        result = run("new-plugin", "my-demo", kind.name, "--kind", kind.name)
        assert f"autocog docs {kind.page}" in result.stderr
        assert f"autocog docs {kind.page}" in (folder / kind.name / "README.md").read_text("utf-8")
    for page in (LAWS_PAGE, *(kind.page for kind in PLUGIN_KINDS.values())):
        name, _, anchor = page.partition("#")
        assert find_page(name).markdown(anchor)
