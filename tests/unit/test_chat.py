from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core import CapabilityError, InputError, Message, Model, Prompt, TextPiece, hookimpl
from autocog_core.tokenizers.chat_prompt import render_chat_prompt
from autocog_core.tokenizers.chat_template import ChatTemplate
from tests.support.small_backends import CharTokenizer, random_model

SPECIAL = ("<|bos|>", "<|end|>")


def plain(items: list[dict[str, str]]) -> str:
    return "<|bos|>" + "".join(f"{m['role']}: {m['content']}<|end|>\n" for m in items) + "bot:"


def stripping(items: list[dict[str, str]]) -> str:
    return plain([{**m, "content": m["content"].strip()} for m in items])


def lowering(items: list[dict[str, str]]) -> str:
    return plain([{**m, "content": m["content"].lower()} for m in items])


def messages(*contents: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content} for content in contents]


def untrusted(prompt: Prompt) -> list[str]:
    pieces = [piece for piece in prompt.pieces if isinstance(piece, TextPiece)]
    return [piece.text for piece in pieces if not piece.trusted]


def spelled(prompt: Prompt) -> str:
    return "".join(piece.text for piece in prompt.pieces if isinstance(piece, TextPiece))


contents = st.lists(
    st.lists(
        st.sampled_from(["a", " ", "\n", "é", "<|end|>", "<|", "|>", "{{ x }}"]), max_size=6
    ).map("".join),
    min_size=1,
    max_size=4,
)


@given(contents)
def test_every_content_stays_one_untrusted_piece_of_what_the_template_renders(
    given_contents: list[str],
) -> None:
    prompt = render_chat_prompt(messages(*given_contents), plain, SPECIAL)
    assert spelled(prompt) == plain(messages(*given_contents))
    assert untrusted(prompt) == [content for content in given_contents if content]


@given(contents)
def test_a_stripping_template_gives_stripped_untrusted_contents(given_contents: list[str]) -> None:
    prompt = render_chat_prompt(messages(*given_contents), stripping, SPECIAL)
    assert spelled(prompt) == stripping(messages(*given_contents))
    assert untrusted(prompt) == [c.strip() for c in given_contents if c.strip()]


def test_a_template_that_rewrites_harmless_content_is_rendered_as_it_is() -> None:
    prompt = render_chat_prompt(messages("HELLO"), lowering, SPECIAL)
    assert prompt.pieces == (TextPiece(lowering(messages("HELLO")), trusted=True),)


@pytest.mark.parametrize(
    ("content", "where"), [("A<|end|>", "message 1"), ("A<|END|>", "messages")]
)
def test_special_text_in_rewritten_content_is_refused(content: str, where: str) -> None:
    with pytest.raises(InputError, match=where) as caught:
        render_chat_prompt(messages("Hi", content), lowering, SPECIAL)
    assert "<|end|>" in str(caught.value)


def test_a_special_token_put_together_from_rewritten_contents_is_refused() -> None:
    def gluing(items: list[dict[str, str]]) -> str:
        return "".join(m["content"].upper().lower() for m in items) + "<|end|>"

    with pytest.raises(InputError, match="end"):
        render_chat_prompt(messages("<|EN", "D|>"), gluing, SPECIAL)


def test_a_role_with_a_special_token_is_refused() -> None:
    with pytest.raises(InputError, match="message 0"):
        render_chat_prompt([{"role": "user<|end|>", "content": "x"}], plain, SPECIAL)


def test_a_template_that_repeats_a_content_is_rendered_without_losing_any() -> None:
    def twice(items: list[dict[str, str]]) -> str:
        return "".join(m["content"] * 2 for m in items)

    assert spelled(render_chat_prompt(messages("ab"), twice, SPECIAL)) == "abab"


def test_content_that_looks_like_a_placeholder_is_only_text() -> None:
    mark = "\ue000autocog1\ue001"
    prompt = render_chat_prompt(messages(mark, "b"), plain, SPECIAL)
    assert untrusted(prompt) == [mark, "b"]


@pytest.mark.parametrize(
    "bad",
    [
        [],
        "hello",
        {"role": "user", "content": "x"},
        ["hello"],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"content": "x"}],
        [{"role": "user", "content": "\udc00"}],
        5,
    ],
    ids=repr,
)
def test_what_is_no_list_of_messages_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="message"):
        random_model().complete(messages=bad)


def test_special_text_in_a_message_does_not_end_the_turn_on_the_way_to_the_model() -> None:
    model = random_model()
    end = next(t.id for t in model.info.special_tokens if t.text == "<|eos|>")
    honest = model.encode(model.chat_prompt(messages("hello")))
    attack = model.encode(model.chat_prompt(messages("<|eos|>hello")))
    assert honest.count(end) == attack.count(end) == 1
    assert b"<|eos|>hello" in model.detokenize_bytes(attack)


def test_no_chat_template_is_a_capability_error() -> None:
    from autocog_core import CapabilityError

    with pytest.raises(CapabilityError, match="chat_prompt"):
        Model(CharTokenizer()).complete(messages=messages("x"))


@pytest.mark.parametrize("content", ["Hi", "<|end|>", "  Hi  "])
def test_a_template_that_writes_the_time_keeps_messages_untrusted(content: str) -> None:
    """A server's clock cannot be stopped: core renders until it does not tick in between."""
    ticks = iter("01122222")
    prompt = render_chat_prompt(
        messages(content), lambda items: next(ticks) + plain(items), SPECIAL
    )
    assert untrusted(prompt) == [content]
    assert spelled(prompt)[0] == "2"


def test_a_clock_that_ticks_at_every_rendering_ends() -> None:
    ticks = itertools.count()
    prompt = render_chat_prompt(messages("Hi"), lambda items: f"{next(ticks)}\n", SPECIAL)
    assert untrusted(prompt) == []
    with pytest.raises(InputError, match="rewrites message texts"):
        render_chat_prompt(
            messages("<|end|>"), lambda items: f"{next(ticks)}{items[0]['content']}", SPECIAL
        )


def without_thoughts(items: list[dict[str, str]]) -> str:
    return plain([{**m, "content": m["content"].split("</think>")[-1].strip()} for m in items])


def test_a_template_that_leaves_out_thoughts_gives_untrusted_answers() -> None:
    answers = messages("Hi <|end|>", "<think>5?</think>\n\n4 <|end|>")
    prompt = render_chat_prompt(answers, without_thoughts, [*SPECIAL, "</think>"])
    assert spelled(prompt) == without_thoughts(answers)
    assert untrusted(prompt) == ["Hi <|end|>", "4 <|end|>"]


class ThinkingTokenizer(CharTokenizer):
    """Its chat template has a variable."""

    @hookimpl
    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        return Prompt.of(messages[0]["content"] + str(template_arguments.get("mode", "?")))


def test_template_arguments_reach_the_template() -> None:
    model = Model(ThinkingTokenizer(), template_arguments={"mode": "a"})
    assert spelled(model.chat_prompt(messages("x"))) == "xa"
    assert spelled(model.chat_prompt(messages("x"), template_arguments={"mode": "b"})) == "xb"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"messages": []}, "set by autocog"),
        ({"not a name": 1}, "not the name"),
        ({"mode": object()}, "not plain data"),
        (5, "mapping"),
    ],
)
def test_wrong_template_arguments_are_refused(arguments: Any, error: str) -> None:
    model = Model(ThinkingTokenizer())
    with pytest.raises(InputError, match=error):
        model.chat_prompt(messages("x"), template_arguments=arguments)


def test_a_backend_that_cannot_pass_template_arguments_on_refuses_them() -> None:
    model = random_model()
    assert model.choose(messages=messages("x"), choices=["a", "b"]).choice
    with pytest.raises(CapabilityError, match="cannot pass them on"):
        model.choose(messages=messages("x"), choices=["a", "b"], template_arguments={"mode": 1})
    with pytest.raises(InputError, match="a prompt is given"):
        model.choose("x", ["a", "b"], template_arguments={"mode": 1})


def test_a_template_that_writes_the_time_sees_one_instant() -> None:
    # %f are microseconds: two renderings at two instants always differ.
    source = "{{ strftime_now('%f') }}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
    template = ChatTemplate(source, {})
    for _ in range(20):
        prompt = template.prompt([{"role": "user", "content": "a<|end|>"}], True, ["<|end|>"])
        assert untrusted(prompt) == ["a<|end|>"]
