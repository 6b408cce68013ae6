"""A page holds its data unchanged, and nothing in it is more than text."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from autocog_core.html.page import render_page
from tests.support.browser import OpenPage
from tests.support.trees import HOSTILE


def test_a_page_holds_its_data_and_is_only_text(open_page: OpenPage, tmp_path: Path) -> None:
    body = Markup("<h1>Page</h1>{}").format(Markup("").join(map(Markup.escape, HOSTILE[:3])))
    page_text = render_page("</title>" + "".join(HOSTILE), body, data={"given": list(HOSTILE)})
    path = tmp_path / "page.html"
    path.write_text(page_text, encoding="utf-8")
    with open_page(path) as page:
        assert page.title().startswith("</title><script>")
        assert "␛[31m␀␡⟨U+009B⟩⟨RIGHT-TO-LEFT OVERRIDE⟩right" in page.title()
        read = page.evaluate("JSON.parse(document.getElementById('given').textContent)")
        assert read[:5] == list(HOSTILE[:5])
        assert HOSTILE[0] in page.inner_text("main")
