"""Characters that the vocabulary has no token for: an error, and no scores of another text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Choose, InputError, Text
from tests.support.llamacpp import gguf_models
from tests.support.llamacpp.long_texts import one, tokenizer_of

GgufFile = Callable[..., Path]


@pytest.mark.parametrize(("byte", "character"), [(0x04, "\x04"), (0xA9, "é"), (0x9D, "東")])
def test_a_character_without_a_token_is_refused(
    gguf_file: GgufFile, byte: int, character: str
) -> None:
    """llama.cpp would drop a part of it, and score another text. SmolLM2 lacks six bytes."""

    def forget(writer: Any) -> None:
        words = writer.kv_data[0]["tokenizer.ggml.tokens"].value
        words[words.index(gguf_models.byte_values()[byte])] = "something else"

    tokenizer = tokenizer_of(gguf_file("llama", edit=forget))
    for special in (True, False):
        with pytest.raises(InputError, match=re.escape(f"no token for {character!r}")):
            one(tokenizer, f"the {character}", special=special)
    assert tokenizer.detokenize(one(tokenizer, "the ü")) == "the ü".encode()


def after_the(*choices: str) -> Automaton:
    first = Text(uid="text", text="the", successors=("choice",))
    return Automaton([first, Choose(uid="choice", choices=choices)])


def test_a_choice_without_a_token_is_refused_and_the_next_call_works(make_llama: Any) -> None:
    def forget(writer: Any) -> None:
        words = writer.kv_data[0]["tokenizer.ggml.tokens"].value
        words[4] = "something else"

    model = make_llama(file={"edit": forget}).as_model()
    with pytest.raises(InputError, match="no token for"):
        model.choose("the", [" Paris", " \x04"])
    with pytest.raises(InputError, match="no token for"):
        model.complete("the \x04", max_tokens=1)
    with pytest.raises(InputError, match="no token for"):
        after_the(" in", " \x04").run(model)
    assert len(after_the(" in", " Paris").run(model).nodes) == 3
    assert len(model.choose("the", [" Paris", " in"]).scores) == 2
