"""A tokenizer on this machine is that of the server's model, and begins texts as it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from autocog_core.errors import ConfigError, InputError
from autocog_openai.tokenizers.behavior import (
    adds_blank,
    require_rows,
    restarts_after_special_tokens,
)
from autocog_openai.tokenizers.load import FileTokenizer
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.vllm import VLLM


def sentencepiece(folder: Path, scheme: str) -> FileTokenizer:
    """Return a tokenizer in the form of Llama 2's: `scheme` says where it adds a blank."""
    letters = [*"abcdefghijklmnopqrstuvwxyzTP.,1+=2\n\x01", "\u2581", "\u2581a"]
    pieces = [("<unk>", 0.0), *((letter, -2.0) for letter in letters)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(prepend_scheme=scheme)
    made.add_special_tokens([AddedToken("</s>", special=True)])
    path = folder / f"{scheme}.json"
    made.save(str(path))
    return FileTokenizer(path)


@pytest.mark.parametrize(
    ("scheme", "blank", "restarts"),
    [("always", True, True), ("first", True, False), ("never", False, False)],
)
def test_the_blank_at_the_start_and_after_special_tokens_is_found(
    tmp_path: Path, scheme: str, blank: bool, restarts: bool
) -> None:
    tokenizer = sentencepiece(tmp_path, scheme)
    assert adds_blank(tokenizer) is blank
    assert restarts_after_special_tokens(tokenizer, ["<|no|>", "</s>"]) is restarts
    assert restarts_after_special_tokens(tokenizer, ["<|no|>"]) is None


def test_another_tokenizer_than_the_servers_is_refused(connect: Connect, tmp_path: Path) -> None:
    sentencepiece(tmp_path, "always")
    with pytest.raises(ConfigError, match="not the tokenizer of the server's model") as caught:
        connect(VLLM(), tokenizer=str(tmp_path / "always.json")).choose("It is", ["a", "b"])
    assert "leave out the option" in caught.value.hint


def test_the_servers_own_tokenizer_in_a_file_gives_the_same_scores(
    connect: Connect, byte_tokenizer: str
) -> None:
    server = VLLM(Engine())
    own, local = connect(server), connect(server, tokenizer=byte_tokenizer)
    choices = [" Paris", " Lyon"]
    assert local.choose("The capital is", choices).scores == (
        own.choose("The capital is", choices).scores
    )


def test_tokens_that_the_servers_model_has_no_row_for_are_refused() -> None:
    require_rows([1, 7], 8, "ab")
    require_rows([1, 70], None, "ab")
    with pytest.raises(InputError, match="the token 8, and the server's model ends at 7"):
        require_rows([1, 8], 8, "ab")
