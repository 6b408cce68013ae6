"""The data of a page has every node of a tree, with its numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from autocog_core import Automaton, Choose, Complete, InputError, Model, Text, ThoughtTree
from autocog_core.backends.random import RandomLM
from autocog_core.controls import picture_controls
from autocog_core.html.tree_data import tree_data
from autocog_core.types.token_texts import split_text
from tests.support.trees import big_tree, hostile_tree


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(RandomLM(seed=3))


@pytest.fixture(scope="module")
def tree(model: Model) -> ThoughtTree:
    program = Automaton(
        [
            Text(uid="say", text="Say é:", successors=("word",)),
            Choose(uid="word", choices=(" ja", " né", "\x1b"), width=2, successors=("and",)),
            Text(uid="and", text=" and\n", successors=("rest",)),
            Complete(uid="rest", name="rest", length=4, beams=2, width=2),
        ]
    )
    return program.run(model).with_token_bytes(model)


def read(data: dict[str, Any], index: int, key: str) -> list[float]:
    return [-math.inf if value is None else value for value in data["nodes"][index].get(key, [])]


def test_every_node_is_in_the_data(tree: ThoughtTree, model: Model) -> None:
    for each in (tree, hostile_tree(), big_tree(300)):
        data = json.loads(json.dumps(tree_data(each)))
        assert len(data["nodes"]) == len(each.nodes)
        assert data["best"] == list(each.best(partial=True).indices)
        for index, node in enumerate(each.nodes):
            found = data["nodes"][index]
            text = found.get("t", "".join(found.get("x", [])))
            assert text == picture_controls(node.text)
            assert found["p"] == node.parent
            assert data["names"][found["u"]] == picture_controls(node.uid)
            assert found.get("q", 1.0) == pytest.approx(node.prob, rel=1e-5)
            assert found.get("c") == node.pruned_by
            assert read(data, index, "l") == pytest.approx(node.logprobs, rel=1e-5)
            if node.logprobs:
                assert found["s"] == pytest.approx(node.path_logprob, rel=1e-5)
                assert found["i"] == list(node.tokens)
    texts = ["".join(found.get("x", [])) for found in tree_data(tree)["nodes"]]
    decided = [model.detokenize(node.tokens) if node.logprobs else "" for node in tree.nodes]
    assert texts == [picture_controls(text) for text in decided]


def test_characters_of_several_tokens_are_whole() -> None:
    assert split_text([b"a\xc3", b"\xa9b", b"\xf0\x9f", b"\x98", b"\x80"]) == [
        "a",
        "éb",
        "",
        "",
        "😀",
    ]
    assert split_text([b"\xff", b"\xc3"]) == ["\ufffd", "\ufffd"]
    assert split_text([]) == []


def test_a_tree_in_a_file_keeps_the_bytes_of_its_tokens(tree: ThoughtTree) -> None:
    data = json.loads(json.dumps(tree.to_dict()))
    again = ThoughtTree.from_dict(data)
    assert again == tree
    assert again.token_bytes == tree.token_bytes
    assert tree_data(again) == tree_data(tree)
    malformed: list[Any] = [[], {"": []}, {"": {"x": "00"}}, {"": {"1": "x"}}, {"": {"1": 1}}]
    for wrong in malformed:
        with pytest.raises(InputError, match="token_bytes is malformed"):
            ThoughtTree.from_dict(data | {"token_bytes": wrong})


def test_the_data_of_ten_thousand_nodes_is_small() -> None:
    page = big_tree(10_000).to_html()
    assert len(page.encode()) < 3_000_000
