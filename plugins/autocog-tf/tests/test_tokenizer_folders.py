"""Core reads a tokenizer folder, and renders its chat template, as Transformers does."""

from __future__ import annotations

import random
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from autocog_core import InputError
from autocog_core.toolkit import ChatTemplate, TextTokenizer
from autocog_tf.tokenizer import TransformersTokenizer
from tests.support.soak import count
from tests.support.tf.tokenizer_families import TEMPLATES
from tests.support.tokenizer_kinds import EXACT, LOSSY

KINDS = {**EXACT, **LOSSY}
MESSAGES = [
    {"role": "system", "content": "Be  brief.\n"},
    {"role": "user", "content": ' <b>é & "quotes"</b> <|end|> '},
    {"role": "assistant", "content": "東京"},
]
PARTS = ("the", " capital", " Paris", "1", "10", "  ", "\n", "é", "東", "<|end|>", "</s>", "<0x41>")
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"ü": [1, None, True]}}}]
ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"tools": TOOLS, "documents": [{"a": "<é>"}]},
    {"enable_thinking": False},
]
#: What templates of well-known models use.
TEMPLATE_PARTS = {
    **TEMPLATES,
    "tojson": "{{ messages | tojson }}{{ tools | tojson(indent=2) }}{{ documents | tojson }}",
    "defined": "{{ tools is defined }}{{ tools is none }}{{ documents is none }}{{ x is defined }}",
    "tokens": "{{ bos_token }}{{ eos_token }}{{ unk_token is defined }}{{ pad_token is defined }}",
    "controls": (
        "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}"
        "{% if m.role == 'user' %}{% break %}{% endif %}{% endfor %}"
    ),
    "namespace": (
        "{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
        "{% set ns.last = m['content'] | trim %}{% endfor %}{{ ns.n }}{{ ns.last }}"
        "{{ dict(a=1, **{'b': 2}) }}{{ dict.fromkeys(['a'], 1) }}"
    ),
    "generation": (
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    ),
    "scope": "{% set x = 1 %}{% generation %}{% set x = 2 %}{% endgeneration %}{{ x }}",
    "blanks": (
        "  {% if add_generation_prompt %}\n    yes\n  {% endif %}\n{{- messages[1].content -}}\n "
    ),
    "macro": (
        "{% macro turn(m) %}<|turn|>{{ m['role'] | upper }}: {{ m.content.split('<')[0] }}"
        "{% endmacro %}"
        "{{ turn(messages[-1]) }}{{ messages[1:] | map(attribute='role') | join(', ') }}"
    ),
    "clock": "{{ strftime_now('%Y') }}{{ strftime_now('%d %b') }}",
    "refusing": (
        "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}x"
    ),
    "variables": (
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    ),
    "private": "{% set ns = namespace(_a=1) %}{{ ns._a }}",
    "unsafe": "{{ messages.append(1) }}",
}


def folder_of(kind: str, folder: Path) -> PreTrainedTokenizerFast:
    """Save a tokenizer as Transformers does, and return what it loads."""
    rust = KINDS[kind]()
    options: dict[str, Any] = {}
    if rust.token_to_id("<unk>") is not None:
        options["unk_token"] = "<unk>"
    elif rust.token_to_id("[UNK]") is not None:
        options["unk_token"] = "[UNK]"
    bos, eos = ("[CLS]", "[SEP]") if "wordpiece" in kind else ("<s>", "</s>")
    made = PreTrainedTokenizerFast(
        tokenizer_object=rust,
        bos_token=bos,
        eos_token=eos,
        chat_template=TEMPLATES["newline"],
        additional_special_tokens=["<|turn|>"],
        **options,
    )
    made.save_pretrained(folder)
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_is_read_as_transformers_reads_it(kind: str, tmp_path: Path) -> None:
    loaded = folder_of(kind, tmp_path)
    ours = TextTokenizer.from_folder(tmp_path, changes_text=True)
    theirs = TransformersTokenizer(loaded, ours.size)
    assert ours.describe() == theirs.describe()
    assert ours.vocabulary() == theirs.vocabulary()
    generator = random.Random(7)
    for _ in range(count(normal=10, soak=2_000)):
        text = "".join(generator.choices(PARTS, k=generator.randint(1, 8)))
        for at_start, special in ((True, False), (False, False), (True, True)):
            assert tokens_or_error(ours, text, at_start, special) == (
                tokens_or_error(theirs, text, at_start, special)
            )
    assert ours.chat_prompt(MESSAGES[1:], True, {}) == theirs.chat_prompt(MESSAGES[1:], True, {})


def tokens_or_error(tokenizer: TextTokenizer, text: str, at_start: bool, special: bool) -> object:
    try:
        return tokenizer.tokenize([text], at_start, special)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("name", TEMPLATE_PARTS)
def test_templates_are_rendered_as_transformers_renders_them(name: str, tmp_path: Path) -> None:
    loaded = folder_of("sentencepiece_like_llama_2", tmp_path)
    template = TEMPLATE_PARTS[name]
    ours = ChatTemplate(template, loaded.special_tokens_map)
    for messages, arguments, add in product((MESSAGES, MESSAGES[1:]), ARGUMENTS, (False, True)):
        variables = {
            **arguments,
            "messages": messages,
            "add_generation_prompt": add,
            "strftime_now": datetime.now().strftime,
        }
        try:
            expected = loaded.apply_chat_template(
                messages,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=add,
                **arguments,
            )
        except TemplateError as error:
            with pytest.raises(type(error)):
                ours.render(variables)
        else:
            assert ours.render(variables) == expected


def test_a_class_that_renders_in_a_way_of_its_own_keeps_it(tmp_path: Path) -> None:
    class Own(PreTrainedTokenizerFast):
        def apply_chat_template(self, conversation: Any, **options: Any) -> str:  # type: ignore[override]
            assert options["tokenize"] is False
            return "own: " + conversation[0]["content"]

    folder_of("byte_level", tmp_path)
    tokenizer = TransformersTokenizer(Own.from_pretrained(tmp_path), 400)
    prompt = tokenizer.chat_prompt([{"role": "user", "content": "Hi"}], True, {})
    assert prompt is not None
    assert [piece.text for piece in prompt.pieces] == ["own: ", "Hi"]  # type: ignore[union-attr]
