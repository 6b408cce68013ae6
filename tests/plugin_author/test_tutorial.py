"""docs/writing-a-backend.md shows the files of examples/ngram, and its examples work."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from autocog_core import BackendInfo, load
from autocog_core.cli.main import app
from autocog_core.config import plugins
from autocog_core.hooks import manager
from autocog_core.scaffold import PluginName, write_package
from autocog_core.testing import LAWS, BackendContractTests, BackendUnderTest, conformance
from tests.plugin_author.code_lines import count_code_lines
from tests.plugin_author.conftest import NGRAM
from tests.plugin_author.findings import broken_laws
from tests.support.small_backends import forget

PAGE = (NGRAM.parents[1] / "docs" / "writing-a-backend.md").read_text(encoding="utf-8")
BACKEND = "src/autocog_ngram/backend.py"
#: The files of `new-plugin` that the author of a plugin changes.
CHANGED_FILES = {BACKEND, "README.md", "tests/test_contract.py"}
#: The files that the page shows.
SHOWN_FILES = {BACKEND, "tests/test_contract.py", "autocog.toml"}


def shown_lines(file: str) -> list[str]:
    """Return the lines that the page shows of a file, without blank lines."""
    pattern = rf"^`{re.escape(file)}`:\n\n<!-- [^\n]+ -->\n```\w+\n(.*?)^```"
    blocks = re.findall(pattern, PAGE, re.DOTALL | re.MULTILINE)
    # The page shows some methods without the indentation of their class.
    blocks = [block if block in source(file) else indent(block, "    ") for block in blocks]
    return [line for block in blocks for line in block.splitlines() if line]


def first_column(begin: str, end: str) -> list[str]:
    """Return the names in the first column of the page's table between two texts."""
    rows = PAGE[PAGE.index(begin) : PAGE.index(end)].splitlines()
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[2:].partition(" | ")[0])]


def blocks_without_file(language: str) -> list[str]:
    """Return the page's code blocks that belong to no file."""
    return re.findall(rf"<!-- not run: [^\n]+ -->\n```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def source(file: str) -> str:
    return (NGRAM / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(SHOWN_FILES))
def test_the_page_shows_the_whole_file(file: str) -> None:
    assert shown_lines(file) == [line for line in source(file).splitlines() if line]


def test_the_page_shows_no_other_file() -> None:
    assert set(re.findall(r"^`(\S+)`:\n\n<!-- part of", PAGE, re.MULTILINE)) == SHOWN_FILES


def test_the_backend_has_at_most_80_lines() -> None:
    assert (
        count_code_lines('"""Docs."""\n\n# why\nx = """a\nb"""\n\ndef f():\n    "Docs."\n    y\n')
        == 4
    )
    assert 40 < count_code_lines(source(BACKEND)) <= 80


def test_the_other_files_are_those_that_new_plugin_writes(tmp_path: Path) -> None:
    paths = {path.as_posix() for path in write_package(PluginName.parse("ngram"), tmp_path)}
    assert paths >= CHANGED_FILES
    for file in paths - CHANGED_FILES:
        assert source(file) == (tmp_path / file).read_text(encoding="utf-8"), file


def test_the_page_lists_every_law_once() -> None:
    names = first_column("| laws |", "Fix the distribution")
    assert sorted(names) == sorted(law.name for law in LAWS)


def test_the_page_lists_every_field_of_a_description() -> None:
    names = set(first_column("| field |", "## A model with a tokenizer folder"))
    assert names == {field.name for field in fields(BackendInfo)} - {"name", "details"}


@pytest.mark.parametrize("options", [{}, {"n": 1}, {"n": 2}, {"n": 5}], ids=str)
def test_the_model_passes_every_law(ngram: Path, options: dict[str, Any]) -> None:
    assert not broken_laws(lambda: load(backend="ngram", options={"path": "cities.txt", **options}))


def test_the_packages_test_passes_with_its_reference(ngram: Path) -> None:
    names: dict[str, Any] = {"__file__": str(ngram / "tests" / "test_contract.py")}
    exec(source("tests/test_contract.py"), names)
    contract = names["TestContract"]()
    assert isinstance(contract, BackendContractTests)
    subject = BackendUnderTest(contract.make, reference=contract.reference_logprobs)
    statuses = {result.law.name: result.status for result in conformance(subject)}
    assert statuses["matches_reference"] == "holds"
    assert "broken" not in statuses.values()


def test_a_distribution_follows_the_definition(ngram: Path, tmp_path: Path) -> None:
    backend = import_module("autocog_ngram.backend")
    text = tmp_path / "text"
    text.write_text("to be or\nto do\n")
    engine = backend.Ngrams(backend.NgramOptions(path=str(text), n=2))
    (to,), (be,), (do,) = (engine.ids[word] for word in ("to", " be", " do"))
    bos = backend.BOS.id
    # Counted: 2 "to", " be", " or", " do", 2 ends: 7 tokens of 5 kinds. After "to": " be", " do".
    uncounted = Fraction(1, len(engine.surfaces) + 2)
    once = (1 + 5 * uncounted) / (7 + 5)
    row = np.exp(engine.logprobs([bos, to]))
    assert row[be] == pytest.approx(float((1 + 2 * once) / (2 + 2)), rel=1e-6)
    assert row[do] == row[be]
    # In the sequence, so likelier than uncounted; twice in the text, but never after itself.
    twice = (2 + 5 * 2 * uncounted) / (7 + 5)
    assert row[to] == pytest.approx(float(2 * twice / (2 + 2)), rel=1e-6)


def test_text_with_unknown_characters_is_possible(ngram: Path) -> None:
    with load("cities") as model:
        assert model.choose("日本 </s>", ["語\x00", "</s>"]).best.prob > 0


def test_the_commands_print_the_output_of_the_page(ngram: Path) -> None:
    blocks = re.findall(
        r"^```console\n\$ (autocog (?:choose|complete) .*?)\n(.*?)^```",
        PAGE,
        re.DOTALL | re.MULTILINE,
    )
    assert len(blocks) == 3
    for command, expected in blocks:
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        printed = [line.rstrip() for line in result.stdout.splitlines()]
        assert printed == expected.splitlines(), command


def test_an_unnormalized_model_gets_the_message_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = source(BACKEND).replace("row *= len(seen) / weight", "pass")
    assert wrong != source(BACKEND)
    (tmp_path / "wrong_ngram.py").write_text(wrong)
    monkeypatch.syspath_prepend(tmp_path)
    make = import_module("wrong_ngram").NgramLM
    options = {"path": str(NGRAM / "cities.txt")}
    message = broken_laws(lambda: make(**make.create(**options)))["distribution"]
    forget("wrong_ngram")
    assert f"```text\n{message}\n```" in PAGE


def test_the_faster_hooks_of_the_page_pass_the_laws(ngram: Path) -> None:
    (code,) = (block for block in blocks_without_file("python") if "FastNgramLM" in block)
    names: dict[str, Any] = {
        "NgramLM": plugins.load_class("ngram"),
        "EOS": import_module("autocog_ngram.backend").EOS,
        "Sequence": list,
        "np": np,
    }
    exec(code, names)
    fast = names["FastNgramLM"]
    assert {"greedy_tree_impl", "complete"} <= set(manager.hooks_of(fast))
    assert not broken_laws(lambda: fast(**fast.create(path="cities.txt")))


def test_the_backends_over_rows_pass_the_laws() -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for code in blocks:
        if re.search(r"\bUniform\(autocog|\((Uniform|Frequencies)\):", code):
            exec(code, names)
    laws = [law for law in LAWS if law.name.startswith(("tree_", "top_k", "best_choices", "chain"))]
    for name in ("Frequencies", "KeptPrefix", "TreeMask"):
        statuses = [result.status for result in conformance(BackendUnderTest(names[name]), laws)]
        assert statuses == ["holds"] * 6


def test_the_test_class_of_the_page_runs_the_laws(ngram: Path) -> None:
    (code,) = (block for block in blocks_without_file("python") if "BackendContractTests" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    contract = names["TestContract"]()
    try:
        contract.test_distribution()
    finally:
        contract.teardown_class()
