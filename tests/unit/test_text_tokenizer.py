"""`TextTokenizer` of tiny tokenizers of all kinds: whole texts, the laws of texts, bytes of ids."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest

pytest.importorskip("tokenizers")
from tokenizers import AddedToken, Tokenizer

from autocog_core import BackendInfo, InputError, Model, ModelLoadError, TokenizerLM
from autocog_core.testing import LAWS, BackendUnderTest, check_or_skip
from autocog_core.toolkit import SpecialTokenSplitter, TextTokenizer
from tests.support.soak import count
from tests.support.tokenizer_kinds import BYTE_TOKENS, EXACT, LOSSY, add_special, byte_level

#: The modules of the laws that need no model.
TEXT_LAWS = ("token_laws", "special_token_laws")
CHAT = (
    "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
PARTS = (
    *("the", " capital", " of", "France", " is", "Paris", ",", ".", "1", "10", " ", "  ", "\n"),
    *("Question", "café", "e\u0301", "ﬁ", "東", "😀", " a", "\t", "zebra", "    ", "\u2581", "Œ"),
)


class OnlyText(TokenizerLM[Any]):
    """A backend whose next tokens are all equally likely."""

    @classmethod
    def load_engine(cls, options: Any) -> Any:
        raise NotImplementedError

    def describe_impl(self) -> BackendInfo:
        return BackendInfo(name="only text", **self.engine.tokenizer.describe())


class Kind:
    """A tokenizer in a folder: as the package `tokenizers` reads it, and as core does."""

    def __init__(self, name: str) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder)
            EXACT[name]().save(str(path / "tokenizer.json"))
            (path / "chat_template.jinja").write_text(CHAT, encoding="utf-8")
            self.rust: Any = Tokenizer.from_file(str(path / "tokenizer.json"))
            self.text = TextTokenizer.from_folder(path)
        size = self.text.size
        row = np.full(size, -np.log(size), dtype=np.float32)
        engine = SimpleNamespace(tokenizer=self.text, row=lambda tokens: row.copy())
        self.model = Model(OnlyText(engine=engine))

    def whole_ids(self, text: str, *, parse_special: bool = False, bos: bool = False) -> list[int]:
        """Return what the package gives for a whole text."""
        self.rust.encode_special_tokens = not parse_special
        return list(self.rust.encode(text, add_special_tokens=bos).ids)


@cache
def kind_of(name: str) -> Kind:
    return Kind(name)


def random_texts(seed: int, number: int) -> Iterator[str]:
    generator = random.Random(seed)
    for _ in range(number):
        yield "".join(generator.choices(PARTS, k=generator.randint(1, 12)))


def loses_text(kind: Kind, text: str, ids: list[int]) -> bool:
    """Return whether the package's tokens are not those of the whole text."""
    if kind.text._unknown in ids:
        return True
    form = kind.text.unicode_form
    expected = unicodedata.normalize(form, text) if form else text
    got = b"".join(kind.text.vocabulary()[token] for token in ids).decode()
    # SentencePiece does not distinguish the two.
    got, expected = (text.replace("\u2581", " ") for text in (got, expected))
    return got not in (expected, f" {expected}")


@pytest.mark.parametrize("name", EXACT)
def test_whole_texts_have_the_tokens_of_the_package(name: str) -> None:
    kind = kind_of(name)
    for text in random_texts(1, count(normal=40, soak=5_000)):
        expected = kind.whole_ids(text)
        if loses_text(kind, text, expected):
            with pytest.raises(InputError, match="has no token for"):
                kind.text.tokenize([text], True, False)
            continue
        assert kind.text.tokenize([text], True, False) == [expected], text
        # With BOS, if the tokenizer adds it.
        assert kind.model.encode(text) == kind.whole_ids(text, bos=True)
        marked = f"<|turn|>{text}<|end|>"
        assert kind.text.tokenize([marked], True, True) == [
            kind.whole_ids(marked, parse_special=True)
        ]


@pytest.mark.parametrize("name", EXACT)
def test_texts_pass_the_laws_of_backends(name: str) -> None:
    subject = BackendUnderTest(lambda: kind_of(name).model)
    checked = []
    for law in LAWS:
        if law.check.__module__.rpartition(".")[2] in TEXT_LAWS:
            try:
                check_or_skip(law, subject)
            except SkipTest:
                continue
            checked.append(law.name)
    assert {"round_trip", "every_id_has_bytes", "bos_once", "vocabulary"} <= set(checked)
    if subject.can_tokenize("<|end|>"):
        assert {"special_text_stays_text", "chat_content_stays_text"} <= set(checked)


@pytest.mark.parametrize("name", EXACT)
def test_every_id_has_the_bytes_that_the_package_decodes(name: str) -> None:
    kind = kind_of(name)
    vocabulary = kind.text.vocabulary()
    assert len(vocabulary) == kind.rust.get_vocab_size()
    special = {token.id for token in kind.text.special_tokens}
    assert {token for token, raw in enumerate(vocabulary) if not raw} == special
    (letter,) = kind.whole_ids("a")[-1:]
    before = kind.rust.decode([letter])
    for token, raw in enumerate(vocabulary):
        written = kind.rust.id_to_token(token)
        if token in special or written.startswith("##"):
            continue
        decoded = kind.rust.decode([letter, token], skip_special_tokens=False)
        assert decoded.removeprefix(before) == raw.decode("utf-8", "replace"), written
        if written in BYTE_TOKENS:
            assert raw == bytes.fromhex(written[3:5])


@pytest.mark.parametrize("name", LOSSY)
def test_a_tokenizer_that_changes_texts_is_refused_with_an_example(
    name: str, tmp_path: Path
) -> None:
    LOSSY[name]().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelLoadError, match=r"do not spell the text: '.*' becomes '") as caught:
        TextTokenizer.from_folder(tmp_path)
    assert caught.value.where == str(tmp_path)
    accepted = TextTokenizer.from_folder(tmp_path, changes_text=True)
    assert accepted.tokenize(["the capital"], True, False)[0]


def test_text_without_a_token_is_refused_by_name() -> None:
    for name in ("unigram", "wordpiece_with_blanks", "bpe_of_characters"):
        text = kind_of(name).text
        for at_start in (True, False):
            for lost in ("Œ", "\x7fŒ"):
                with pytest.raises(InputError, match=r"no token for '.*Œ'"):
                    text.tokenize([lost], at_start, False)


def test_wider_rows_have_ids_without_bytes_and_narrower_ones_refuse_tokens(tmp_path: Path) -> None:
    add_special(EXACT["bytes_alone"]()).save(str(tmp_path / "tokenizer.json"))
    wide = TextTokenizer.from_folder(tmp_path, size=300)
    assert (wide.size, wide.vocabulary()[299], wide.tokens_without_rows) == (300, b"", {})
    narrow = TextTokenizer.from_folder(tmp_path, size=258)
    assert narrow.tokens_without_rows == {258: "<|turn|>", 259: "<|end|>"}
    with pytest.raises(InputError, match="the model has no row"):
        narrow.tokenize(["<|end|>"], True, True)
    with pytest.raises(ModelLoadError, match="BOS has the id 256, and the model ends at 199"):
        TextTokenizer.from_folder(tmp_path, size=200)


def test_an_added_token_that_the_model_makes_too_has_the_bytes_of_the_model(tmp_path: Path) -> None:
    # Gemma lists its tokens of several blanks as added tokens.
    rust = EXACT["sentencepiece_like_gemma"]()
    rust.add_tokens([AddedToken("\u2581\u2581", normalized=False), AddedToken("zebra")])
    rust.save(str(tmp_path / "tokenizer.json"))
    text = TextTokenizer.from_folder(tmp_path)
    (ids,) = text.tokenize(["a  zebra"], True, False)
    assert [text.detokenize([token]) for token in ids] == [b"a", b"  ", b"zebra"]


def test_text_beside_a_control_token_that_is_not_special_makes_no_special_token() -> None:
    rust = EXACT["unigram_with_bytes"]()
    rust.add_tokens([AddedToken("<tool_call>", normalized=False)])
    text = TextTokenizer(rust)
    special = {token.id for token in text.special_tokens}
    for hostile in ("<tool_call></s>", "</s><tool_call>", "<tool_call><0x0A>"):
        for texts in ([hostile], ["a", hostile], ["</s>", "<tool_call>"]):
            for text_, ids in zip(texts, text.tokenize(texts, False, False), strict=True):
                assert special.isdisjoint(ids), text_
                assert text.detokenize(ids).decode() == text_


def test_a_special_token_that_begins_inside_another_one_is_split_too() -> None:
    splitter = SpecialTokenSplitter(["a<b", "<bc>", "b", ""])
    assert splitter.split("xa<bc>") == ["xa", "<", "b", "c>"]
    assert splitter.split("b") == ["b", ""]


def test_padding_and_truncation_of_the_file_have_no_effect() -> None:
    for adds_bos in (True, False):
        rust = add_special(byte_level(), adds_bos=adds_bos)
        rust.enable_padding(direction="left", pad_id=rust.token_to_id("</s>"), length=2 + adds_bos)
        rust.enable_truncation(1)
        text = TextTokenizer(rust)
        assert text.bos == (rust.token_to_id("<s>") if adds_bos else None)
        assert text.detokenize(text.tokenize(["a b c d"], True, False)[0]) == b"a b c d"


def test_ids_of_a_vocabulary_may_have_gaps() -> None:
    definition = json.loads(EXACT["bytes_alone"]().to_str())
    definition["model"]["vocab"]["A"] = 999
    rust = Tokenizer.from_str(json.dumps(definition))
    text = TextTokenizer(rust)
    assert (text.size, text.vocabulary()[998:]) == (1000, [b"", b"A"])
    narrow = TextTokenizer(rust, size=500)
    assert narrow.tokens_without_rows == {999: "A"}
    with pytest.raises(InputError, match="the model has no row"):
        narrow.tokenize(["A"], True, False)
