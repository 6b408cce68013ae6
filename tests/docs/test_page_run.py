"""The runner of pages finds what is wrong on a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import read_blocks
from tests.docs.commands import write_scripts
from tests.docs.page_run import PageRun
from tests.docs.shown_output import find_difference

CHOOSE = '$ autocog choose "a" -c " b" --backend random'


@pytest.mark.parametrize(
    ("shown", "printed", "equal"),
    [
        ("prob 0.98  ███ 12 tokens", "prob   0.97 ██▌ 12 tokens", True),
        ("prob 0.98", "prob 0.60", False),
        ("12 tokens", "13 tokens", False),
        ("time 1.2 s, 3 rows/s", "time 20.3 s, 9 rows/s", True),
        ("time 1.2 s, 3 rows/s", "time 20.3 s, 5.1 s/row", True),
        ("one\n...\nfour", "one\ntwo\nthree\nfour", True),
        ("one\n...", "one", True),
        ("one\n...\nfive", "one\ntwo\nthree\nfour", False),
        ("from .../x to 3", "from /home/me/x to 3", True),
        ("one", "one\ntwo", False),
        ("one\ntwo", "one", False),
        ("largest 1.0e-3 nats", "largest 1.01e-3 nats", True),
    ],
)
def test_what_counts_as_equal_output(shown: str, printed: str, equal: bool) -> None:
    assert (find_difference(shown, printed) == "") is equal


@pytest.mark.parametrize(
    "page",
    [
        "```python\n1 / 0\n```",
        "```python\nprint(1)\n```\n```text\n2\n```",
        "```\nls\n```",
        "```text\n$ ls\n```",
        "```console\nls\n```",
        "```console\n$ false\n```",
        "```console\n$ pip install no-such-thing-of-ours\n```",
        "```console\n$ pip install ./plugins/autocog-other\n```",
        "```console\n$ nox -s no_such_session\n```",
        "```console\n$ autocog choose a\n```",
        f"```console\n{CHOOSE}\nchoice prob\n```",
        f"```console\n{CHOOSE}\nerror: no such backend\n```",
        "```yaml\nactions: [{texts: a}]\n```",
        "```yaml\n# invalid\nactions: [{text: a}]\n```",
        "```yaml\n# invalid\nactions: [{texts: a}]\n```\nIts error:\n```text\nanother\n```",
        '```toml\n[models.m]\nbackend = "random"\noptions = { sead = 3 }\n```',
        "<!-- part of README.md -->\n```python\nno_line_of_it\n```",
    ],
)
def test_a_wrong_page_fails(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception):  # noqa: B017, PT011 - of the block, or of the comparison
        run_page(page, tmp_path)


def test_a_right_page_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = f"""
```python
x = 3
```
```python
print(x / 7)
```
```text
0.42
```
```text title="a/words.txt"
one
```
```console
$ cd a
$ cat words.txt | wc -l
1
{CHOOSE} --json > out.json
$ autocog choose "a" -c " b" --backend rendom
error: backend "rendom": ...
```
<!-- not run: it has no end -->
```python
while True: ...
```
"""
    run_page(page, tmp_path)
    assert (tmp_path / "a" / "out.json").read_text().startswith("{")


def run_page(text: str, folder: Path) -> None:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    scripts = folder / "scripts"
    write_scripts(scripts)
    page = PageRun("page.md", scripts)
    try:
        for block in read_blocks(path, "page.md"):
            page.run(block)
    finally:
        page.close()
