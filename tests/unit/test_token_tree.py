from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autocog_core.types.token_tree import TokenTree, common_prefix_length

# Few different tokens, so that beginnings are shared often.
sequence = st.lists(st.integers(0, 3), max_size=8).map(tuple)
sequences = st.lists(sequence, max_size=12)


def nodes_of_a_dict_trie(given_sequences: list[tuple[int, ...]]) -> set[tuple[int, ...]]:
    trie: dict[int, Any] = {}
    for tokens in given_sequences:
        level = trie
        for token in tokens:
            level = level.setdefault(token, {})

    def walk(level: dict[int, Any], path: tuple[int, ...]) -> set[tuple[int, ...]]:
        found = set()
        for token, below in level.items():
            found |= {(*path, token)} | walk(below, (*path, token))
        return found

    return walk(trie, ())


def spelled(tree: TokenTree, node: int) -> tuple[int, ...]:
    tokens = []
    while node >= 0:
        tokens.append(int(tree.tokens[node]))
        node = int(tree.parents[node])
    return tuple(reversed(tokens))


@given(sequences)
def test_every_parent_comes_before_its_children(given_sequences: list[tuple[int, ...]]) -> None:
    tree = TokenTree.build(given_sequences)
    assert all(-1 <= parent < node for node, parent in enumerate(tree.parents.tolist()))


@given(sequences)
def test_paths_spell_their_sequences(given_sequences: list[tuple[int, ...]]) -> None:
    tree = TokenTree.build(given_sequences)
    for number, tokens in enumerate(given_sequences):
        nodes = tree.path(number).tolist()
        assert tuple(tree.tokens[nodes].tolist()) == tokens
        assert [spelled(tree, node) for node in nodes] == [
            tokens[: i + 1] for i in range(len(tokens))
        ]


@given(sequences)
def test_shared_beginnings_are_shared_nodes_as_in_a_dict_trie(
    given_sequences: list[tuple[int, ...]],
) -> None:
    tree = TokenTree.build(given_sequences)
    nodes = [spelled(tree, node) for node in range(len(tree.tokens))]
    assert len(nodes) == len(set(nodes))
    assert set(nodes) == nodes_of_a_dict_trie(given_sequences)


@given(sequences)
def test_ends_are_the_last_nodes_and_minus_one_for_nothing(
    given_sequences: list[tuple[int, ...]],
) -> None:
    tree = TokenTree.build(given_sequences)
    ends = tree.ends.tolist()
    assert len(ends) == len(given_sequences)
    for end, tokens in zip(ends, given_sequences, strict=True):
        assert spelled(tree, end) == tokens


@given(sequences)
def test_children_are_the_inverse_of_parents(given_sequences: list[tuple[int, ...]]) -> None:
    tree = TokenTree.build(given_sequences)
    found = sorted((child, parent) for parent, own in tree.children().items() for child in own)
    assert found == list(enumerate(tree.parents.tolist()))


@given(sequences)
def test_sorting_builds_the_same_tree_as_looping(given_sequences: list[tuple[int, ...]]) -> None:
    looped = TokenTree._build_by_looping(given_sequences)
    by_sorting = TokenTree._build_by_sorting(given_sequences)
    for field in fields(TokenTree):
        due, got = getattr(looped, field.name), getattr(by_sorting, field.name)
        np.testing.assert_array_equal(got, due)
        assert (got.dtype, got.shape) == (due.dtype, due.shape)


def test_many_tokens_are_sorted_into_the_same_tree() -> None:
    numbers = np.random.default_rng(0).integers(0, 40, (800, 4)).tolist()
    got, due = TokenTree.build(numbers), TokenTree._build_by_looping(numbers)
    assert (got.path_nodes == due.path_nodes).all()
    assert (got.parents == due.parents).all()


@given(sequence, sequence)
def test_common_prefix_length_is_the_longest_equal_beginning(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    slow = max(n for n in range(len(first) + 1) if first[:n] == second[:n])
    assert common_prefix_length(first, second) == slow
    assert common_prefix_length(list(first), second) == slow
