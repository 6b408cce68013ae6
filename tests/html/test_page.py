"""A page holds its data unchanged, and nothing in it is more than text."""

from __future__ import annotations

import json
from pathlib import Path

from markupsafe import Markup

from autocog_core.html.page import render_page, render_template
from tests.support.browser import OpenPage

HOSTILE = (
    "<script>document.title = 'taken'</script></script><!--",
    "<img src=x onerror=document.title='taken'>",
    "&amp; \" ' `${1}` {{ 1 }}",
    "\x1b[31m\x00\x7f\x9b",
    "\u202eright\u2066\u200f\u2028",
    "\ud800 alone",
    "[red]rich[/red]",
)


def test_a_page_holds_its_data_and_is_only_text(open_page: OpenPage, tmp_path: Path) -> None:
    body = Markup("<h1>Page</h1>{}").format(Markup("").join(map(Markup.escape, HOSTILE[:3])))
    page_text = render_page("</title>" + "".join(HOSTILE), body, data={"given": list(HOSTILE)})
    path = tmp_path / "page.html"
    path.write_text(page_text, encoding="utf-8")
    assert "//" not in page_text.replace(json.dumps(HOSTILE[0]), "")
    with open_page(path) as page:
        assert page.title().startswith("</title><script>")
        assert "␛[31m␀␡⟨U+009B⟩" in page.title()
        read = page.evaluate("JSON.parse(document.getElementById('given').textContent)")
        assert read[:5] == list(HOSTILE[:5])
        assert HOSTILE[0] in page.inner_text("main")


def test_a_template_shows_what_is_not_seen() -> None:
    rendered = render_template("text.html", text="\x1b<b>\u202e")
    assert rendered == "␛&lt;b&gt;⟨RIGHT-TO-LEFT OVERRIDE⟩"
