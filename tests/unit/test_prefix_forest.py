"""Paths of a prefix forest, against a look-up of every token."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autocog_core.toolkit import PrefixForest

PATHS = st.lists(st.lists(st.integers(0, 2), max_size=8), max_size=8)


@given(paths=PATHS)
def test_paths_that_share_their_beginning_equal_a_look_up_of_every_token(
    paths: list[list[int]],
) -> None:
    forest, expected = PrefixForest(len(paths)), PrefixForest(len(paths))
    for index, path in enumerate(paths):
        node = -1
        for token in path:
            node = expected.add_child(node, token, index)
        end = forest.add_path(path, index)
        assert end == node
        # A child between two paths.
        assert forest.add_child(end, 1, index) == expected.add_child(node, 1, index)
    assert (forest.tokens, forest.parents) == (expected.tokens, expected.parents)
    assert forest.first_query == expected.first_query
