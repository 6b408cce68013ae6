"""Conversations in programs: the model sees the tokens of its chat template on the whole chat."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from autocog_core import (
    Automaton,
    InputError,
    Model,
    TextPiece,
    ThoughtNode,
    ThoughtTree,
    TokenPiece,
)
from autocog_core.types.prompt import join_text
from autocog_tf import TfLM
from tests.support.tf import tiny_models as tiny

Turn = dict[str, str]
ChatModel = Callable[[str], Model]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}"
    "{{ eos_token }}{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
#: As that of Qwen3: earlier thoughts are left out, and an argument turns thinking off.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
#: Template, special tokens, tokenizer, and whether its earlier turns keep their tokens.
FAMILIES: dict[str, tuple[str, list[str], Callable[[], Any], bool]] = {
    "chatml": (CHATML, [], tiny.byte_level_tokenizer, True),
    "llama3": (
        LLAMA_3,
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        tiny.byte_level_tokenizer,
        True,
    ),
    "gemma": (GEMMA, ["<start_of_turn>", "<end_of_turn>"], tiny.sentencepiece_tokenizer, True),
    # The answer follows a blank that the opening of a turn does not have.
    "mistral": (MISTRAL, ["[INST]", "[/INST]"], tiny.sentencepiece_tokenizer, False),
    "phi": (
        PHI,
        ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
        tiny.byte_level_tokenizer,
        True,
    ),
    "thinking": (THINKING, ["<think>", "</think>"], tiny.byte_level_tokenizer, True),
}
QUESTION = "Is <|im_end|>[INST] the capital Paris?"
ANSWERS = ["yes", "the end", "no"]


def make_model(family: str) -> Model:
    template, special, make_tokenizer, _ = FAMILIES[family]
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.chat_template = template
    weights = tiny.tiny_model("llama")
    weights.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return TfLM(engine=tiny.TfEngine(weights, tokenizer)).as_model()


@pytest.fixture(scope="module")
def chat_model() -> ChatModel:
    """Return a function that returns the model of a family."""
    return cache(make_model)


def conversation(family: str) -> list[Turn]:
    system = [] if family == "gemma" else [{"role": "system", "content": "Be brief."}]
    return [*system, {"role": "user", "content": QUESTION}]


def run(model: Model, *actions: dict[str, Any]) -> ThoughtTree:
    return Automaton.from_dict({"actions": list(actions)}).run(model)


def seen_before(tree: ThoughtTree, node: ThoughtNode, eos: tuple[int, ...]) -> list[int]:
    """Return the tokens of a node's context, without those that ended answers."""
    tokens: list[int] = []
    index = node.context_parent
    while index >= 0:
        before = tree.nodes[index]
        is_end = before.finish_reason == "eos" and before.tokens[-1] in eos
        tokens = [*(before.tokens[:-1] if is_end else before.tokens), *tokens]
        index = before.context_parent
    return tokens


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_has_the_tokens_of_the_template_on_the_whole(
    chat_model: ChatModel, family: str
) -> None:
    model, keeps = chat_model(family), FAMILIES[family][3]
    tree = run(
        model,
        {"messages": conversation(family)},
        {"name": "first", "choices": ANSWERS},
        {"messages": [{"user": "Why {{ fields.first }}? "}]},
        {"name": "why", "length": 6},
        {"messages": [{"user": "Are you sure?"}]},
        {"name": "sure", "choices": ANSWERS},
    )
    whole = conversation(family)
    path = tree.best()
    for name, question in (("first", "Why {}? "), ("why", "Are you sure?"), ("sure", "")):
        node = next(node for node in path.nodes if node.name == name)
        expected = model.encode(model.chat_prompt(whole))
        if name != "why":
            scores = model.choose(messages=whole, choices=ANSWERS)
            got = [other.prob for other in tree.nodes if other.uid == node.uid]
            assert got == pytest.approx([score.prob for score in scores.scores], abs=1e-5)
            expected = expected[: len(expected) - len(model.tokenize(scores.healed_text))]
        if model.info.adds_bos:
            # BOS belongs to no node.
            expected = expected[1:]
        assert seen_before(tree, node, model.info.eos)[: len(expected)] == expected
        whole.append({"role": "assistant", "content": str(node.value)})
        whole.append({"role": "user", "content": question.format(node.value)})
    first, second, third = (node for node in path.nodes if node.uid.startswith("messages"))
    assert not first.retokenized
    assert second.retokenized is not keeps
    assert (second.context_parent == -1) is second.retokenized
    assert bool(second.reason) is second.retokenized
    assert third.exact


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_token_of_a_turn_is_that_of_the_whole_conversation(
    chat_model: ChatModel, family: str
) -> None:
    model = chat_model(family)
    asked = conversation(family)
    before = model.encode(model.chat_prompt(asked))
    opening = join_text(model.chat_prompt(asked).pieces)
    for answer in ("yes", " yes", "the capital"):
        answered = [*asked, {"role": "assistant", "content": answer}]
        whole = model.chat_prompt(answered, add_generation_prompt=False)
        scores = model.choose(messages=asked, choices=[answer, "zebra"])
        kept = before[: len(before) - len(model.tokenize(scores.healed_text))]
        decided = [*kept, *scores.scores[0].tokens]
        if join_text(whole.pieces).startswith(opening + answer):
            assert model.encode(whole)[: len(decided)] == decided
        else:
            # The template strips the blank, or writes one of its own.
            assert answer == " yes" or family == "mistral"


def test_a_text_that_begins_an_answer_has_its_own_tokens(chat_model: ChatModel) -> None:
    """The template of Mistral names BOS, and its tokenizer adds a blank after special tokens."""
    for family in ("mistral", "gemma"):
        model = chat_model(family)
        asked = conversation(family)
        tree = run(model, {"messages": asked}, {"text": "yes", "evaluate": True}, {"length": 1})
        before = model.encode(model.chat_prompt(asked))
        whole = model.encode([*model.chat_prompt(asked).pieces, TextPiece("yes")])
        assert list(tree.context_tokens(1)) == before == whole[: len(before)]
        assert list(tree.nodes[1].tokens) == whole[len(before) :]
        assert tree.nodes[1].logprobs[0] == pytest.approx(
            model.greedy(TokenPiece(tuple(before)))[whole[len(before)]], abs=1e-5
        )


def test_thoughts_of_earlier_turns_are_left_out_as_the_template_does(chat_model: ChatModel) -> None:
    model = chat_model("thinking")
    tree = run(
        model,
        {"messages": [{"user": "Is it?"}]},
        {"text": {"pieces": [{"text": "<think>", "special": True}, {"text": "hm"}]}},
        {"text": {"pieces": [{"text": "</think>", "special": True}, {"text": "\n\n"}]}},
        {"name": "first", "choices": ["yes", "no"]},
        {"text": "!", "evaluate": True},
        {"messages": [{"user": "Sure?"}]},
        {"name": "sure", "choices": ["yes", "no"]},
    )
    path = tree.best()
    answer = str(path.fields["first"]) + "!"
    whole = [
        {"role": "user", "content": "Is it?"},
        {"role": "assistant", "content": f"<think>hm</think>\n\n{answer}"},
        {"role": "user", "content": "Sure?"},
    ]
    later = next(node for node in path.nodes if node.uid == "messages-6")
    assert (later.retokenized, later.context_parent) == (True, -1)
    assert "differently" in later.reason
    assert "<think>" not in later.text
    assert list(later.tokens) == model.encode(model.chat_prompt(whole))
    exclamation = next(node for node in path.nodes if node.uid == "text-5")
    assert exclamation.tokens
    assert len(exclamation.logprobs) == len(exclamation.tokens)


def test_template_arguments_of_messages_stay_for_the_conversation(chat_model: ChatModel) -> None:
    model = chat_model("thinking")
    tree = run(
        model,
        {"messages": [{"user": "a"}], "template_arguments": {"enable_thinking": False}},
        {"choices": ["yes", "no"]},
        {"messages": [{"user": "b"}]},
        {"choices": ["yes", "no"]},
    )
    ends = [node for node in tree.nodes if node.uid.startswith("messages")]
    assert all(node.text.endswith("assistant\n<think>\n\n</think>\n\n") for node in ends)
    assert ends[1].retokenized


def test_a_role_that_the_template_refuses_is_one_clear_error(chat_model: ChatModel) -> None:
    model = chat_model("gemma")
    actions = [{"messages": [{"system": "a"}, {"user": "b"}]}, {"choices": ["yes", "no"]}]
    with pytest.raises(InputError, match=r"messages-1.*System role not supported"):
        run(model, *actions)
    assert run(model, {"messages": [{"user": "b"}]}, actions[1]).complete
    broken = tiny.byte_level_tokenizer()
    broken.chat_template = "{{ messages[0].content + 1 }}"
    model = TfLM(engine=tiny.TfEngine(tiny.tiny_model("llama"), broken)).as_model()
    with pytest.raises(InputError, match=r"messages-1.*template refuses the messages: can only"):
        run(model, *actions)


def test_a_model_thinks_up_to_its_own_token_and_answers_without_it(chat_model: ChatModel) -> None:
    model = chat_model("thinking")
    end = model.tokenize("</think>", parse_special=True)
    tree = run(
        model,
        {"messages": [{"user": "Is it?"}]},
        {"name": "a", "choices": ANSWERS, "thinking": {"length": 5, "after": "\n\n"}},
        {"messages": [{"user": "Sure?"}]},
        {"name": "b", "choices": ANSWERS, "thinking": {"length": 5}},
    )
    assert len(end) == 1
    whole = [{"role": "user", "content": "Is it?"}]
    for name, after in (("a", "\n\n"), ("b", "")):
        base = model.encode(model.chat_prompt(whole))
        thoughts: list[int] = []
        while len(thoughts) < 5 and not {*end, *model.info.eos}.intersection(thoughts):
            thoughts.append(int(model.greedy([*base, *thoughts]).argmax()))
        kept = [token for token in thoughts if token not in model.info.eos]
        context: list[Any] = [TokenPiece((*base, *kept))]
        context += [] if end[0] in kept else [TokenPiece(tuple(end))]
        scores = model.choose([*context, TextPiece(after)], ANSWERS)
        got = [node.prob for node in tree.nodes if node.name == name]
        assert got == pytest.approx([score.prob for score in scores.scores], abs=1e-5)
        whole.append({"role": "assistant", "content": str(tree.best().fields[name])})
        whole.append({"role": "user", "content": "Sure?"})
    later = next(node for node in tree.nodes if node.uid == "messages-3")
    assert (later.retokenized, later.reason) == (True, "thoughts are no part of earlier answers")
