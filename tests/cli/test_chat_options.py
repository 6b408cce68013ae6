"""The options that make a chat of a prompt: `--chat`, `--system`, `--user`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import autocog_core as autocog
from tests.cli.conftest import Run

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "hi"}


def test_chat_options_are_messages_of_every_command(run: Run) -> None:
    both = ["--system", "Be brief.", "--user", "hi"]
    with autocog.load() as model:
        for options, messages in (
            (["--chat", "hi"], [USER]),
            (["--user", "hi"], [USER]),
            (both, [SYSTEM, USER]),
            (["--system", "Be brief.", "hi"], [SYSTEM, USER]),
        ):
            tokens = json.loads(run("tokenize", "--json", *options).stdout)["tokens"]
            assert tokens == model.encode(model.chat_prompt(messages))
        scores = model.choose(messages=messages, choices=["a", "b"])
        text = model.complete(messages=messages, max_tokens=3).text
        likeliest = model.next_tokens(messages=messages, k=1)[0].token
    choices = json.loads(run("choose", "--json", *both, "-c", "a", "-c", "b").stdout)
    assert [score["prob"] for score in choices["scores"]] == [s.prob for s in scores.scores]
    answer = json.loads(run("complete", "--json", *both, "--max-tokens", "3").stdout)
    assert answer["text"] == text
    rows = json.loads(run("greedy", "--json", *both, "-k", "1").stdout)["next_tokens"]
    assert rows[0]["token"] == likeliest


@pytest.mark.parametrize("command", ["tokenize", "greedy", "complete", "choose"])
def test_a_prompt_comes_once(wrong: Callable[..., str], command: str) -> None:
    choices = ["-c", "a", "-c", "b"] if command == "choose" else []
    assert "is missing; give it, or --user TEXT" in wrong(command, *choices)
    assert "leave one out" in wrong(command, "hi", "--user", "hi", *choices)
    chat = "add --chat, --system or --user"
    assert chat in wrong(command, "hi", "--template-argument", "a=1", *choices)


def test_template_arguments_are_refused_without_effect(wrong: Callable[..., str]) -> None:
    message = wrong("complete", "--user", "hi", "--template-argument", "enable_thinking=false")
    assert "cannot pass them on" in message
    assert "KEY=VALUE" in wrong("complete", "--user", "hi", "--template-argument", "thinking")
    assert "set by autocog" in wrong(
        "complete", "--user", "hi", "--template-argument", "messages=1"
    )
