"""What `TextTokenizer.from_folder` reads from the files beside a tokenizer.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")

from autocog_core import InputError, ModelLoadError, PluginDependencyError, Prompt
from autocog_core.toolkit import TextTokenizer
from tests.support.tokenizer_kinds import EXACT, byte_level, sentencepiece

MESSAGES = [{"role": "user", "content": "Hi"}]


def write_folder(folder: Path, rust: Any = None, **files: Any) -> Path:
    """Write a tokenizer and JSON files; `a__b` is the file `a.b`."""
    folder.mkdir(exist_ok=True)
    (rust or EXACT["byte_level"]()).save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def prompt_text(tokenizer: TextTokenizer, **arguments: Any) -> str:
    prompt = tokenizer.chat_prompt(MESSAGES, False, arguments)
    assert isinstance(prompt, Prompt)
    return "".join(piece.text for piece in prompt.pieces)  # type: ignore[union-attr]


def test_eos_ids_come_from_all_three_places_and_those_without_a_row_are_left_out(
    tmp_path: Path,
) -> None:
    folder = write_folder(
        tmp_path,
        tokenizer_config__json={"eos_token": {"content": "<|end|>", "__type": "AddedToken"}},
        config__json={"eos_token_id": [7, True], "text_config": {"eos_token_id": [8, 9999]}},
        generation_config__json={"eos_token_id": [5, 7]},
    )
    tokenizer = TextTokenizer.from_folder(folder)
    (end,) = tokenizer.tokenize(["<|end|>"], True, True)[0]
    assert tokenizer.eos == (5, 7, 8, end)
    assert TextTokenizer.from_folder(write_folder(tmp_path / "bare")).eos == ()


@pytest.mark.parametrize(
    ("kind", "config", "bos", "adds_bos"),
    [
        ("byte_level", {}, None, False),
        ("byte_level", {"bos_token": "<s>"}, "<s>", False),
        ("byte_level", {"bos_token": "<s>", "add_bos_token": True}, "<s>", True),
        ("byte_level_with_bos", {}, "<s>", True),
        ("byte_level_with_bos", {"bos_token": "</s>"}, "<s>", True),
        ("byte_level_with_bos", {"bos_token": "<s>", "add_bos_token": False}, "<s>", False),
    ],
)
def test_bos_is_tried_unless_the_config_says_it(
    tmp_path: Path, kind: str, config: dict[str, Any], bos: str | None, adds_bos: bool
) -> None:
    folder = write_folder(tmp_path, EXACT[kind](), tokenizer_config__json=config)
    tokenizer = TextTokenizer.from_folder(folder)
    texts = {token.id: token.text for token in tokenizer.special_tokens}
    assert (texts.get(tokenizer.bos or -1), tokenizer.adds_bos) == (bos, adds_bos)


def test_tokens_that_only_the_config_has_are_added(tmp_path: Path) -> None:
    rust = byte_level()
    size = rust.get_vocab_size()
    known = rust.id_to_token(300)
    listed = {
        str(size): {"content": "<|a|>", "special": True, "rstrip": True},
        str(size + 1): {"content": "zebra", "special": False, "normalized": False},
    }
    folder = write_folder(
        tmp_path,
        rust,
        tokenizer_config__json={
            "added_tokens_decoder": listed,
            "eos_token": "<|a|>",
            "additional_special_tokens": ["<|b|>", {"content": known}],
        },
    )
    tokenizer = TextTokenizer.from_folder(folder)
    assert [(t.text, t.strips_right) for t in tokenizer.special_tokens if t.id >= size] == [
        ("<|a|>", True),
        ("<|b|>", False),
    ]
    assert known in [token.text for token in tokenizer.special_tokens]
    assert tokenizer.eos == (size,)
    assert tokenizer.vocabulary()[size + 1] == b"zebra"
    assert size + 1 in tokenizer.tokenize(["a zebra"], True, False)[0]
    gap = {str(size + 9): {"content": "<|a|>", "special": True}}
    folder = write_folder(
        tmp_path / "gap", rust, tokenizer_config__json={"added_tokens_decoder": gap}
    )
    with pytest.raises(ModelLoadError, match="lacks tokens before it"):
        TextTokenizer.from_folder(folder)


def test_older_folders_have_files_of_their_own_for_tokens(tmp_path: Path) -> None:
    rust = byte_level()
    size = rust.get_vocab_size()
    folder = write_folder(
        tmp_path,
        rust,
        special_tokens_map__json={"eos_token": "<|a|>", "unk_token": {"content": "<|a|>"}},
        added_tokens__json={"<|a|>": size, "zebra": size + 1},
    )
    tokenizer = TextTokenizer.from_folder(folder)
    assert tokenizer.eos == (size,)
    assert [token.text for token in tokenizer.special_tokens] == ["<|a|>"]
    assert tokenizer.tokenize(["zebra"], True, False) == [[size + 1]]


def test_the_chat_template_is_that_of_the_file_or_the_config(tmp_path: Path) -> None:
    several = [
        {"name": "default", "template": "plain {{ messages[0].content }}"},
        {"name": "tool_use", "template": "tools {{ tools | length }}"},
    ]
    config = {"chat_template": several, "bos_token": "<s>", "image_token": "<|turn|>"}
    tokenizer = TextTokenizer.from_folder(write_folder(tmp_path, tokenizer_config__json=config))
    assert prompt_text(tokenizer) == "plain Hi"
    assert prompt_text(tokenizer, tools=[{}, {}]) == "tools 2"
    template = "{{ bos_token }}{{ image_token }}{{ eos_token is defined }}"
    (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
    assert prompt_text(TextTokenizer.from_folder(tmp_path)) == "<s><|turn|>False"
    (tmp_path / "additional_chat_templates").mkdir()
    more = tmp_path / "additional_chat_templates" / "tool_use.jinja"
    more.write_text("more {{ tools | length }}", encoding="utf-8")
    assert prompt_text(TextTokenizer.from_folder(tmp_path), tools=[{}]) == "more 1"
    bare = TextTokenizer.from_folder(write_folder(tmp_path / "bare"))
    assert bare.chat_prompt(MESSAGES, True, {}) is None


def test_messages_that_a_template_refuses_or_breaks_on_are_an_input_error(tmp_path: Path) -> None:
    for template in ("{{ raise_exception('no system') }}", "{{ 1 / 0 }}", "{{ ''.__class__.x }}"):
        folder = write_folder(tmp_path, chat_template__jinja=template)
        with pytest.raises(InputError, match="chat template refuses the messages"):
            TextTokenizer.from_folder(folder).chat_prompt(MESSAGES, True, {})


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"tokenizer__json": "{}"}, "tokenizer.json: it is not a tokenizer"),
        ({"tokenizer__json": "no json"}, "tokenizer.json: it is not a tokenizer"),
        ({"tokenizer_config__json": "{"}, "tokenizer_config.json: it is not valid JSON"),
        ({"config__json": "[]"}, "config.json: it is not a JSON object"),
        ({"config__json": '{"a": ' * 100_000}, "config.json: it is not valid JSON"),
        ({"tokenizer_config__json": {"bos_token": "\ud800"}}, "config.json: it is not valid JSON"),
        ({"tokenizer_config__json": {"extra_special_tokens": 3}}, "extra_special_tokens is nei"),
        ({"tokenizer_config__json": {"extra_special_tokens": "ab"}}, "extra_special_tokens is nei"),
        (
            {"tokenizer_config__json": {"added_tokens_decoder": {"1": {"conten": "a"}}}},
            "added tokens are damaged",
        ),
        (
            {"chat_template__jinja": "a\n{% if %}"},
            r"chat_template\.jinja: its chat template is not valid, line 2",
        ),
        (
            {"tokenizer_config__json": {"chat_template": "{% if %}"}},
            r"tokenizer_config\.json: chat_template: its chat template is not valid, line 1",
        ),
        (
            {
                "tokenizer_config__json": {
                    "chat_template": [
                        {"name": "rag", "template": "{{"},
                        {"name": "default", "template": ""},
                    ]
                }
            },
            r'tokenizer_config\.json: chat_template "rag": its chat template is not valid',
        ),
        (
            {"tokenizer_config__json": {"chat_template": [{"name": "rag", "template": ""}]}},
            "none of its chat templates is the default, but rag",
        ),
        ({"tokenizer_config__json": {"chat_template": [{}]}}, "its chat template is damaged"),
        ({"tokenizer_config__json": {"chat_template": 3}}, "its chat template is damaged"),
    ],
)
def test_a_damaged_file_is_one_error_that_names_it(
    tmp_path: Path, files: dict[str, Any], problem: str
) -> None:
    folder = write_folder(tmp_path, **files)
    with pytest.raises(ModelLoadError, match=problem) as caught:
        TextTokenizer.from_folder(folder)
    assert str(folder) in caught.value.where


def test_a_folder_without_a_tokenizer_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"no tokenizer\.json; give the folder"):
        TextTokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(ModelLoadError, match=r"only tokenizer\.model; convert"):
        TextTokenizer.from_folder(tmp_path)


def test_a_lone_file_needs_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    sentencepiece().save(str(file))
    lone = TextTokenizer.from_folder(file)
    assert lone.detokenize(lone.tokenize(["the é"], True, False)[0]) == "the é".encode()


def test_without_the_package_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(PluginDependencyError, match=r'pip install "autocog-core\[tokenizers\]"'):
        TextTokenizer.from_folder(tmp_path)
