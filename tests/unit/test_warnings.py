"""Warnings of calls: their codes, where they point, how often they come, how they are silenced."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import autocog_core as autocog
from autocog_core import EOS, InputError, Model, SpecialToken, TextPiece, WarningCode
from autocog_core.advice.joints import choice_problems, completion_problems
from autocog_core.backends.random import RandomLM
from tests.support.small_backends import random_model


class ChatModel(RandomLM):
    """A model with the special tokens of a chat model."""

    def describe_impl(self) -> Any:
        info = super().describe_impl()
        return replace(
            info, special_tokens=(*info.special_tokens, SpecialToken("<|im_start|>", info.eos[0]))
        )


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The codes of the warnings in the block."""
    codes: list[str] = []
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        yield codes
    for warning in issued:
        assert isinstance(warning.message, autocog.AutocogWarning)
        assert Path(warning.filename) == Path(__file__), "it points to the line of the caller"
        codes.append(warning.message.code)


def choose(prompt: Any, *choices: str, **options: Any) -> Callable[[Model], Any]:
    return lambda model: model.choose(prompt, choices, **options)


SENTENCE = " one two three four five six"


@pytest.mark.parametrize(
    ("call", "codes"),
    [
        (choose("It is", " a", " b"), []),
        (choose("It is", " a ", " b"), ["choice-ends-in-blank"]),
        (choose("It is", " a\n", "\n"), []),
        (choose("It is", "a", "b"), ["choice-joins-word"]),
        (choose([1, 2], "a", "b"), []),
        (choose("これは", "水", "火"), []),
        (choose("Is it? Answer:", "a", "b"), ["choice-without-blank"]),
        (choose("Is it? Answer: ", "a", "b"), []),
        (choose("Is it? Answer: ", " a", " b"), ["choice-after-blank"]),
        (choose("Is it? Answer:\n", " a", " b"), ["choice-after-blank"]),
        (choose("Is it? Answer:\n", "a", "b"), []),
        (choose("10:", "30", "45"), []),
        (choose("std::", "string", "vector"), []),
        (choose("It is", " a", SENTENCE), ["choice-lengths-differ"]),
        (choose("It is", " a", SENTENCE, norm="mean"), []),
        (choose("It is", " a", SENTENCE, suffix=EOS), ["choice-lengths-differ"]),
        (choose("Is it?", " yes", " no"), ["chat-template-unused"]),
        (choose("Is it? Answer:", " yes", " no"), []),
        (choose("<|im_start|>user\nIt", " is", " was"), ["special-token-as-text"]),
        (choose(TextPiece("<|im_start|>user\nIt", trusted=True), " is", " was"), []),
        (choose("[INST] It [/INST]", " is", " was"), ["unknown-special-token"]),
        (choose("<b>It</b> [1]", " is", " was"), []),
        (lambda model: model.complete("It is", max_tokens=1), []),
        (lambda model: model.complete("It is ", max_tokens=1), ["text-ends-in-blank"]),
        (lambda model: model.complete("Q: 1\nA:\n", max_tokens=1), ["text-ends-in-newline"]),
        (lambda model: model.complete("### Response:\n", max_tokens=1), []),
        (lambda model: model.complete("Once.\n", max_tokens=1), []),
        (lambda model: model.complete("Is it?", max_tokens=1), ["chat-template-unused"]),
        (lambda model: "".join(model.stream("It is ", max_tokens=1)), ["text-ends-in-blank"]),
        (
            lambda model: model.choose(
                choices=["a", "b"], messages=[{"role": "human", "content": "Is it? <|im_start|>"}]
            ),
            ["unknown-chat-role", "choice-without-blank"],
        ),
        (
            lambda model: model.choose_many(["It is", "It was:"], ["a", "b"]),
            ["choice-joins-word", "choice-without-blank"],
        ),
    ],
)
def test_calls_have_the_warnings_of_their_mistakes(
    call: Callable[[Model], Any], codes: list[str]
) -> None:
    if "stream" in call.__code__.co_names:
        # It runs in a thread, which has no caller.
        with pytest.warns(autocog.AutocogWarning, match=codes[0]):
            call(Model(ChatModel()))
        return
    with recorded() as issued:
        call(Model(ChatModel()))
    assert issued == codes


def test_a_model_without_turns_is_no_chat_model() -> None:
    with recorded() as issued:
        random_model().choose("Is it?", [" yes", " no"])
    assert issued == []


def test_a_line_has_each_warning_once_and_another_line_has_it_again() -> None:
    model = random_model()
    with recorded() as issued:
        for number in range(3):
            model.choose(f"It is {number}", ["a", "b"])
        model.choose("It is", ["a", "b"])
    assert issued == ["choice-joins-word"] * 2


def test_warnings_are_silenced_by_code() -> None:
    model = random_model()
    with recorded() as issued:
        autocog.silence("choice-joins-word", WarningCode.CHOICE_ENDS_IN_BLANK)
        model.choose("It is", ["a ", "b"])
        warnings.filterwarnings("ignore", message="text-ends-in-blank")
        model.complete("It is ", max_tokens=1)
        model.choose("It is", [" a", SENTENCE])
    assert issued == ["choice-lengths-differ"]
    with pytest.raises(InputError, match=r'no warning has the code "choice-joins".*did you mean'):
        autocog.silence("unused-input", "choice-joins")


def test_filters_of_python_and_of_its_command_line_hold(tmp_path: Path) -> None:
    model = random_model()
    with warnings.catch_warnings():
        warnings.simplefilter("error", autocog.AutocogWarning)
        for _ in range(2):
            with pytest.raises(autocog.AutocogWarning, match="choice-joins-word: "):
                model.choose("It is", ["a", "b"])
    path = tmp_path / "script.py"
    path.write_text(
        "import autocog_core as autocog\n"
        'with autocog.load(backend="random") as model:\n'
        "    for choices in (['a ', 'b'], ['c ', 'd']):\n"
        '        model.choose("It is", choices)\n'
    )
    command = [sys.executable, "-W", "ignore:choice-joins-word", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    warning, line = done.stderr.splitlines()
    assert warning.startswith(f"{path}:4: AutocogWarning: choice-ends-in-blank: ")
    assert line == '  model.choose("It is", choices)'


def test_a_config_silences_warnings_of_python_too(tmp_path: Path) -> None:
    path = tmp_path / "autocog.toml"
    path.write_text('models.a.backend = "random"\nwarnings.silence = ["choice-joins-word"]\n')
    with recorded() as issued, autocog.load("a", config=path) as model:
        model.choose("It is", ["a ", "b"])
    assert issued == ["choice-ends-in-blank"]


def test_a_copy_of_a_warning_has_its_text_and_code() -> None:
    warning = autocog.AutocogWarning("it is wrong", code="unused-input", where="inputs")
    copy = pickle.loads(pickle.dumps(warning))
    assert str(copy) == str(warning) == "unused-input: inputs: it is wrong"
    assert copy.code == "unused-input"


def test_only_check_with_a_model_looks_at_the_likeliest_tokens() -> None:
    rows = {'"It is" (': {" ": 0.6, "a": 0.3}, "It (": {"a": 0.6, " ": 0.3}}
    model = autocog.load(backend="table", options={"rows": rows})
    choose = autocog.Choose(uid="c", choices=("a", "b"))
    for text, codes in (('"It is" (', ["choice-without-blank"]), ("It (", [])):
        automaton = autocog.Automaton([autocog.Text(uid="t", text=text, successors="c"), choose])
        assert automaton.check() == []
        assert [finding.code for finding in automaton.check(model)] == codes
        with recorded() as issued:
            automaton.run(model)
        assert issued == []


def test_a_program_has_each_warning_once_also_in_threads() -> None:
    text = autocog.Template("{{ question }}")
    actions = [
        autocog.Text(uid="t", text=text, successors="c"),
        autocog.Choose(uid="c", choices=("a ", " b")),
    ]
    inputs = {"question": autocog.Input(), "other": autocog.Input(default="")}
    automaton = autocog.Automaton(actions, inputs=inputs)
    rows = [{"question": "It is"}, {"question": "Is it?"}]
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        for concurrency in (1, 2):
            assert len(list(automaton.run_many(random_model(), rows, concurrency=concurrency))) == 2
    messages = [str(warning.message) for warning in issued]
    # The first row fills in the templates.
    assert [message.split(": ")[:2] for message in messages] == [
        ["unused-input", "inputs"],
        ["choice-joins-word", 'action "c"'],
        ["choice-ends-in-blank", 'action "c"'],
    ]


def test_the_page_has_a_section_for_each_code() -> None:
    page = (Path(__file__).parents[2] / "docs/warnings.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### `(.*)`$", page, flags=re.MULTILINE)
    assert sections == list(WarningCode)


def test_unknown_texts_have_no_problems() -> None:
    assert list(choice_problems("", ["a", " b"])) == []
    assert list(completion_problems("")) == []
    assert json.dumps(WarningCode.UNUSED_INPUT) == '"unused-input"'
