"""What docs/writing-a-backend.md shows is what examples/ngram has, and does what it says."""

from __future__ import annotations

import ast
import io
import re
import shlex
import tokenize
from dataclasses import fields, replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from autocog_core import BackendInfo, Model, load
from autocog_core.cli.main import app
from autocog_core.config import plugins
from autocog_core.hooks import manager
from autocog_core.scaffold import PluginName, write_package
from autocog_core.testing import LAWS, BackendContractTests, BackendUnderTest, conformance
from autocog_core.toolkit.completion_builder import CompletionBuilder
from autocog_core.toolkit.engine_options import reject_unknown_options
from autocog_core.toolkit.sampling import sample_token
from autocog_core.toolkit.tree_answers import NumpyScoreCollector
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.token_tree import TreeQuery, TreeScores
from tests.plugin_author.conftest import NGRAM
from tests.plugin_author.findings import broken
from tests.support.small_backends import forget

PAGE = (NGRAM.parents[1] / "docs" / "writing-a-backend.md").read_text(encoding="utf-8")
BACKEND = "src/autocog_ngram/backend.py"
#: Of what `new-plugin` writes, the author's own part.
AUTHORS = {BACKEND, "README.md", "tests/test_contract.py"}
SHOWN = {BACKEND, "tests/test_contract.py", "autocog.toml"}


def shown(file: str) -> list[str]:
    """The lines that the page shows of a file, block after block."""
    block = rf"^`{re.escape(file)}`:\n\n```\w+\n(.*?)^```"
    found = re.findall(block, PAGE, re.DOTALL | re.MULTILINE)
    # Methods stand on the page as the formatter has it: without the indentation of their class.
    found = [each if each in source(file) else indent(each, "    ") for each in found]
    return [line for block in found for line in block.splitlines() if line]


def first_column(begin: str, end: str) -> list[str]:
    """The names in the first column of the page's table between two texts."""
    rows = PAGE[PAGE.index(begin) : PAGE.index(end)].splitlines()
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[2:].partition(" | ")[0])]


def unnamed(language: str) -> list[str]:
    """The page's blocks that are of no file."""
    return re.findall(rf"(?<!`:\n)\n```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def source(file: str) -> str:
    return (NGRAM / file).read_text(encoding="utf-8")


def code_lines(text: str) -> int:
    """Lines that hold code: no comment, docstring or blank line."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            told.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    blank |= {tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in blank:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - told)


@pytest.mark.parametrize("file", sorted(SHOWN))
def test_the_page_shows_the_whole_file_and_nothing_else(file: str) -> None:
    assert shown(file) == [line for line in source(file).splitlines() if line]


def test_the_page_shows_blocks_of_no_other_file() -> None:
    assert set(re.findall(r"^`(\S+)`:\n\n```", PAGE, re.MULTILINE)) == SHOWN


def test_the_backend_has_at_most_80_lines() -> None:
    assert code_lines('"""Docs."""\n\n# why\nx = """a\nb"""\n\ndef f():\n    "Docs."\n    y\n') == 4
    assert 40 < code_lines(source(BACKEND)) <= 80


def test_the_package_is_what_new_plugin_writes_but_for_the_authors_part(tmp_path: Path) -> None:
    written = {path.as_posix() for path in write_package(PluginName.parse("ngram"), tmp_path)}
    assert written >= AUTHORS
    for file in written - AUTHORS:
        assert source(file) == (tmp_path / file).read_text(encoding="utf-8"), file


def test_the_page_tells_of_every_law_once() -> None:
    told = first_column("| laws |", "Fix the distribution")
    assert sorted(told) == sorted(law.name for law in LAWS)


def test_the_page_tells_of_every_field_of_a_description_that_it_should() -> None:
    told = set(first_column("| field |", "## The laws"))
    assert told == {field.name for field in fields(BackendInfo)} - {"name", "details"}


@pytest.mark.parametrize("options", [{}, {"n": 1}, {"n": 2}, {"n": 5}], ids=str)
def test_the_model_keeps_every_law(ngram: Path, options: dict[str, Any]) -> None:
    assert not broken(lambda: load(backend="ngram", options={"path": "cities.txt", **options}))


def test_the_packages_own_test_holds_by_its_reference(ngram: Path) -> None:
    names: dict[str, Any] = {"__file__": str(ngram / "tests" / "test_contract.py")}
    exec(source("tests/test_contract.py"), names)
    contract = names["TestContract"]()
    assert isinstance(contract, BackendContractTests)
    subject = BackendUnderTest(contract.make, reference=contract.reference_logprobs)
    found = {finding.law.name: finding.status for finding in conformance(subject)}
    assert found["matches_reference"] == "holds"
    assert "broken" not in found.values()


def test_a_distribution_is_that_of_the_definition(ngram: Path, tmp_path: Path) -> None:
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
    # Said just now, so likelier than uncounted; twice in the text, but never after itself.
    twice = (2 + 5 * 2 * uncounted) / (7 + 5)
    assert row[to] == pytest.approx(float(2 * twice / (2 + 2)), rel=1e-6)


def test_text_that_nobody_wrote_is_possible(ngram: Path) -> None:
    with load("cities") as model:
        assert model.choose("日本 </s>", ["語\x00", "</s>"]).best.prob > 0


def test_the_commands_print_what_the_page_shows(ngram: Path) -> None:
    blocks = re.findall(r"^```\n\$ (autocog .*?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for command, expected in blocks:
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        printed = [line.rstrip() for line in result.stdout.splitlines()]
        assert printed == expected.splitlines(), command


def test_a_model_that_is_not_normalised_gets_the_message_that_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = source(BACKEND).replace("row *= len(seen) / weight", "pass")
    assert wrong != source(BACKEND)
    (tmp_path / "wrong_ngram.py").write_text(wrong)
    monkeypatch.syspath_prepend(tmp_path)
    make = import_module("wrong_ngram").NgramLM
    options = {"path": str(NGRAM / "cities.txt")}
    message = broken(lambda: make(**make.create(**options)))["distribution"]
    forget("wrong_ngram")
    assert f"```\n{message}\n```" in PAGE


def test_the_faster_hooks_of_the_page_keep_the_laws_too(ngram: Path) -> None:
    (code,) = (block for block in unnamed("python") if "FastNgramLM" in block)
    names: dict[str, Any] = {
        "NgramLM": plugins.load_class("ngram"),
        "EOS": import_module("autocog_ngram.backend").EOS,
        "Sequence": list,
        "np": np,
        "pick": sample_token,
        "replace": replace,
        "NumpyScoreCollector": NumpyScoreCollector,
        "CompletionBuilder": CompletionBuilder,
        "TreeQuery": TreeQuery,
        "TreeScores": TreeScores,
        "reject_unknown_options": reject_unknown_options,
        "Completion": Completion,
        "CompletionRequest": CompletionRequest,
    }
    exec(code, names)
    fast = names["FastNgramLM"]
    assert {"greedy_tree_impl", "complete"} <= set(manager.hooks_of(fast))
    assert not broken(lambda: fast(**fast.create(path="cities.txt")))


def test_the_two_lines_of_the_page_run_the_laws(ngram: Path) -> None:
    (code,) = (block for block in unnamed("python") if "BackendContractTests" in block)
    names: dict[str, Any] = {
        "BackendContractTests": BackendContractTests,
        "Model": Model,
        "load": load,
    }
    exec(code, names)
    contract = names["TestContract"]()
    try:
        contract.test_distribution()
    finally:
        contract.teardown_class()
