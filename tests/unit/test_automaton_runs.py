"""Automata on the built-in backends, compared with slow independent computations."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from autocog_core import EOS, Automaton, Budget, Choose, Complete, InputError, Model, Text
from autocog_core.automaton import Action, Regex, Strings, Tokens
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree
from tests.support.operations import growth
from tests.support.small_backends import random_model
from tests.support.soak import count


def run(model: Model, actions: Sequence[Action], vocabs: Any = None, **options: Any) -> ThoughtTree:
    return Automaton(actions, vocabs).run(model, **options)


def nodes_of(tree: ThoughtTree, uid: str) -> list[ThoughtNode]:
    return [node for node in tree.nodes if node.uid == uid]


def check_law(model: Model, tree: ThoughtTree) -> None:
    """Check a node's log-probabilities with single calls, and the path's sum.

    For paths without stops, whose ids are those of their nodes.
    """
    for index, node in enumerate(tree.nodes):
        before: list[int] = []
        total = 0.0
        parent = node.parent
        while parent >= 0:
            before = [*tree.nodes[parent].tokens, *before]
            total += sum(tree.nodes[parent].logprobs)
            parent = tree.nodes[parent].parent
        if model.info.adds_bos and model.info.bos is not None:
            before.insert(0, model.info.bos)
        for place, logprob in enumerate(node.logprobs):
            row = model.greedy([*before, *node.tokens[:place]])
            assert logprob == pytest.approx(float(row[node.tokens[place]]), abs=1e-6), index
        assert node.path_logprob == pytest.approx(total + sum(node.logprobs))


def test_choice_scores_equal_those_of_choose() -> None:
    model = random_model(seed=3)
    choices = ("red", "green", "re", "blue")
    tree = run(
        model,
        [
            Text(uid="q", text="Colour: ", successors="c"),
            Choose(uid="c", choices=choices, name="colour", width=2),
        ],
    )
    expected = model.choose("Colour: ", choices)
    found = nodes_of(tree, "c")
    assert [node.text for node in found] == list(choices)
    for node, score in zip(found, expected.scores, strict=True):
        assert node.tokens == score.tokens
        assert node.logprobs == pytest.approx(score.token_logprobs)
        assert node.prob == pytest.approx(score.prob)
    order = sorted(range(4), key=lambda i: -expected.scores[i].exclusive_logprob)
    assert [found[i].pruned_by for i in order] == [None, None, "width", "width"]
    assert tree.fields == {"colour": expected.choice}
    check_law(model, tree)


def test_the_best_and_likely_branches_are_followed() -> None:
    """Earlier implementations kept the worst."""
    model = random_model(seed=1)
    choices = tuple("abcdefgh")
    actions = [Text(uid="q", text="x", successors="c")]
    tree = run(model, [*actions, Choose(uid="c", choices=choices, width=None, threshold=0.2)])
    found = nodes_of(tree, "c")
    best = max(found, key=lambda node: node.prob)
    assert best.pruned_by is None
    for node in found:
        assert node is best or (node.pruned_by is None) == (node.prob >= 0.2)
    alone = run(model, [*actions, Choose(uid="c", choices=choices, width=None, threshold=1.0)])
    assert [node.text for node in nodes_of(alone, "c") if node.pruned_by is None] == [best.text]


def test_a_greedy_completion_equals_complete() -> None:
    model = random_model(seed=5)
    tree = run(model, [Text(uid="q", text="Once", successors="t"), Complete(uid="t", length=9)])
    expected = model.complete("Once", max_tokens=9)
    (node,) = nodes_of(tree, "t")
    assert node.tokens == expected.tokens
    assert node.logprobs == pytest.approx(expected.logprobs)
    assert (node.text, node.finish_reason) == (expected.text, expected.finish_reason)
    check_law(model, tree)


def test_the_stop_string_is_not_in_the_context() -> None:
    model = random_model(seed=5)
    printable = Regex("[ -~]")
    texts = [Text(uid="q", text="Once", successors="t")]
    tree = run(model, [*texts, Complete(uid="t", length=9, vocab=printable, eos=False)])
    free = tree.best().end.text
    tree = run(
        model,
        [
            *texts,
            Complete(uid="t", length=9, stop=free[3:5], vocab=printable, successors="c"),
            Choose(uid="c", choices=("a", "b"), width=None),
        ],
    )
    (node,) = nodes_of(tree, "t")
    assert (node.text, node.finish_reason) == (free[:3], "stop")
    assert model.detokenize(node.tokens) == free[:5]
    assert not node.retokenized
    expected = model.choose("Once" + free[:3], ("a", "b"))
    found = nodes_of(tree, "c")
    assert [n.logprobs for n in found] == [
        pytest.approx(score.token_logprobs) for score in expected.scores
    ]


def slow_beams(
    model: Model, prompt: str, length: int, beams: int, penalty: float
) -> list[tuple[float, tuple[int, ...]]]:
    """Slow beam search with whole rows, as Transformers' early_stopping="never"."""
    base = model.encode(prompt)
    eos = set(model.info.eos)
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    pool: list[tuple[float, tuple[int, ...]]] = []
    while live:
        grown = []
        for beam, (total, tokens) in enumerate(live):
            row = model.greedy([*base, *tokens])
            grown += [(-(total + float(row[t])), beam, t) for t in range(len(row))]
        grown.sort()
        following = []
        for rank, (negative, beam, token) in enumerate(grown[: beams * (1 + max(1, len(eos)))]):
            tokens = (*live[beam][1], token)
            if token in eos or len(tokens) == length:
                if rank < beams:
                    pool.append((-negative / len(tokens) ** penalty, tokens))
            else:
                following.append((-negative, tokens))
        live = following[:beams]
        pool = sorted(pool, key=lambda item: -item[0])[:beams]
        if len(pool) == beams and live:
            reach = length if penalty > 0 else len(live[0][1]) + 1
            if live[0][0] / reach**penalty <= pool[-1][0]:
                break
    return pool


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, -0.5])
@pytest.mark.parametrize("beams", [2, 3, 5])
def test_beams_equal_a_slow_search(beams: int, penalty: float) -> None:
    model = random_model(seed=beams)
    action = Complete(uid="t", length=5, beams=beams, length_penalty=penalty, width=None)
    tree = run(model, [Text(uid="q", text="Once", successors="t"), action])
    found = [node for node in nodes_of(tree, "t") if node.pruned_by != "duplicate"]
    expected = slow_beams(model, "Once", 5, beams, penalty)
    assert [node.tokens for node in found] == [tokens for _, tokens in expected]
    for node, (score, _) in zip(found, expected, strict=True):
        assert sum(node.logprobs) / len(node.tokens) ** penalty == pytest.approx(score)
    assert math.fsum(node.prob for node in found) == pytest.approx(1)
    check_law(model, tree)


def test_set_operations_of_token_sets() -> None:
    model = random_model()
    from autocog_core.evaluation.token_masks import TokenMaskCache

    masks = TokenMaskCache(model.client)
    digits, some, letters = Regex("[0-9]"), Strings(("1", "2", "x")), Tokens(("ab",))

    def texts(vocabulary: Any) -> set[str]:
        return {chr(token) for token in np.flatnonzero(masks.mask_for(vocabulary))}

    assert texts(digits) == set("0123456789")
    assert texts(digits & some) == {"1", "2"}
    assert texts(some - digits) == {"x"}
    assert texts(digits | letters) == set("0123456789ab")
    assert texts(~digits).isdisjoint("0123456789")
    assert masks.mask_for(Regex("[0-9]")) is masks.mask_for(digits), (
        "equal sets are kept once, by content"
    )


def test_an_evaluated_text_is_scored_and_counted() -> None:
    model = random_model(seed=4)
    actions = [
        Text(uid="q", text="Say ", successors="a"),
        Text(uid="a", text="yes or no: ", evaluate=True, successors="c"),
        Choose(uid="c", choices=("yes", "no")),
    ]
    tree = run(model, actions)
    (text,) = nodes_of(tree, "a")
    assert len(text.logprobs) == len(text.tokens) == len("yes or no: ")
    assert nodes_of(tree, "c")[0].length == len(text.tokens) + 3
    check_law(model, tree)
    last = run(model, [actions[0], Text(uid="a", text="yes or no: ", evaluate=True)])
    assert nodes_of(last, "a")[0].logprobs == pytest.approx(text.logprobs)


def test_samples_are_siblings_with_frequencies() -> None:
    model = random_model(seed=6)
    action = Complete(uid="t", length=1, samples=40, seed=1, width=None)
    tree, again = (run(model, [Text(uid="q", text="x", successors="t"), action]) for _ in range(2))
    assert tree.nodes == again.nodes
    found = nodes_of(tree, "t")
    assert len(found) == 40
    kept = [node for node in found if node.pruned_by is None]
    assert len({node.text for node in kept}) == len(kept)
    for node in kept:
        assert node.prob == pytest.approx(sum(n.text == node.text for n in found) / 40)
    check_law(model, tree)


def test_many_consecutive_texts_take_linear_time_and_no_recursion() -> None:
    """Earlier implementations recursed: 1,200 texts were a RecursionError."""
    model = random_model()
    trees: dict[int, ThoughtTree] = {}

    def running(size: int) -> Callable[[], None]:
        texts = [Text(uid=f"t{n}", text="ab", successors=f"t{n + 1}") for n in range(size)]

        def call() -> None:
            trees[size] = run(model, [*texts, Choose(uid=f"t{size}", choices=("a", "b"))])

        return call

    large = count(normal=2_000, soak=10_000)
    assert large > sys.getrecursionlimit()
    # Quadratic work would be 16 times as much.
    assert growth(running, large // 4, large) < 6
    tree = trees[large]
    assert len(tree.nodes) == large + 2
    assert len(tree.best().nodes) == large + 1
    assert ThoughtTree.from_dict(tree.to_dict()) == tree


def test_a_loop_ends_at_max_visits() -> None:
    model = random_model(seed=1)
    tree = run(
        model,
        [
            Text(uid="q", text="x", successors="c"),
            Choose(
                uid="c", choices=("more", "done"), successors=("c", "e"), max_visits=3, width=None
            ),
            Text(uid="e", text="."),
        ],
    )
    rounds = [len(path.nodes) - 2 for path in tree.complete]
    assert sorted(rounds) == [1, 2, 3]
    assert [n.pruned_by for n in nodes_of(tree, "c") if n.text == "more"] == [
        None,
        None,
        "max_visits",
    ]
    check_law(model, tree)


def test_unique_tokens_count_common_prefixes_once() -> None:
    actions = [
        Text(uid="t", text="A colour:", successors="c"),
        Choose(uid="c", choices=(" red", " reddish", " rose", " blue"), width=2, successors="w"),
        Complete(uid="w", length=5, beams=3, width=2),
    ]
    tree = run(random_model(seed=7), actions)
    beginnings = {
        (node.parent, node.tokens[:length])
        for node in tree.nodes
        for length in range(1, len(node.tokens) + 1)
    }
    assert tree.stats["unique_tokens"] == len(beginnings)


def test_a_graph_of_324_actions() -> None:
    actions: list[Action] = []
    for number in range(81):
        following = (f"q{number + 1}",) if number < 80 else ()
        actions += [
            Text(uid=f"q{number}", text=f" {number}?", successors=f"c{number}"),
            Choose(
                uid=f"c{number}",
                choices=(" yes", " no"),
                successors=(f"a{number}", f"b{number}"),
                name="answers",
            ),
            Text(uid=f"a{number}", text=" good", successors=following),
            Text(uid=f"b{number}", text=" bad", successors=following),
        ]
    tree = run(random_model(seed=1), actions)
    assert len(tree.nodes) == 4 * 81
    path = tree.best()
    assert len(path.fields["answers"]) == 81
    assert path.logprob == pytest.approx(math.fsum(sum(node.logprobs) for node in path.nodes))


def ladder(levels: int) -> list[Action]:
    """Two branches at every level, which meet again: 2 ** levels paths."""
    actions: list[Action] = [Text(uid="begin", text="x", successors="c0")]
    for level in range(levels):
        following = f"c{level + 1}"
        actions.append(
            Choose(uid=f"c{level}", choices=("a", "b"), width=None, successors=following)
        )
    return [*actions, Text(uid=f"c{levels}", text=".")]


def test_a_budget_ends_a_run_with_the_tree_so_far() -> None:
    model = random_model(seed=1)
    tree = run(model, ladder(60), budget=Budget(paths=500))
    assert tree.stopped_by == "paths"
    assert len(tree.nodes) < 2500
    with pytest.raises(InputError, match="no path is complete: out of paths"):
        tree.best()
    assert tree.best(partial=True).text.startswith("x")


def test_best_first_proves_the_best_paths() -> None:
    model = random_model(seed=1)
    whole = run(model, ladder(8))
    assert len(whole.complete) == 2**8
    found = run(model, ladder(8), order="best_first", top=3)
    assert found.stopped_by is None
    assert len(found.nodes) < len(whole.nodes) / 2
    expected = [(path.text, pytest.approx(path.logprob)) for path in whole.top(3)]
    assert [(path.text, path.logprob) for path in found.top(3)] == expected


def test_branches_share_evaluations_of_common_prefixes() -> None:
    """The engine gets one call for each level."""
    model = random_model(seed=1)
    tree = run(model, ladder(5))
    assert tree.stats["model_calls"] == 5


def test_all_errors_are_reported_together() -> None:
    actions = [
        Text(uid="a", text="x", successors=("b", "c")),
        Choose(uid="b", choices=("x", "", "x"), successors=("a", "a")),
        Complete(uid="b", length=0, vocab="digts", successors="nowhere"),
    ]
    with pytest.raises(InputError) as caught:
        Automaton(actions, {"digits": Regex("[0-9]")}).require_sound()
    message = str(caught.value)
    for error in (
        'action "a": has 2 successors: give at most 1',
        'action "b": another action has the same uid',
        'action "b": choices[1] is empty',
        "action \"b\": choices[2] repeats 'x'",
        'action "b": length is 0',
        'action "b": unknown vocab "digts"; did you mean "digits"?',
        'unknown successor "nowhere"',
        'action "b": has 2 successors for 3 choices',
    ):
        assert error in message, f"{error!r} is not in {message}"


def test_endless_cycles_and_unreachable_actions_are_errors() -> None:
    cycle = [
        Text(uid="a", text="x", successors="b"),
        Text(uid="b", text="y", successors="a"),
        Text(uid="c", text="z"),
    ]
    errors = [str(error) for error in Automaton(cycle).errors()]
    assert any('action "c": no path leads to this action' in error for error in errors)
    assert any("endless cycle" in error for error in errors)


def test_the_suffix_is_not_in_the_context() -> None:
    model = random_model(seed=8)
    tree = run(
        model,
        [
            Text(uid="q", text="x", successors="c"),
            Choose(uid="c", choices=("a", "ab"), suffix="\n", width=1, successors="d"),
            Choose(uid="d", choices=("1", "2"), width=None),
        ],
    )
    best = max(nodes_of(tree, "c"), key=lambda node: node.prob)
    assert model.detokenize(best.tokens) == best.text + "\n"
    expected = model.choose("x" + best.text, ("1", "2"))
    assert [node.logprobs for node in nodes_of(tree, "d")] == [
        pytest.approx(score.token_logprobs) for score in expected.scores
    ]


def test_an_action_may_run_on_another_model() -> None:
    """The output of one model is text for the other."""
    first, second = random_model(seed=1), random_model(seed=2)
    actions = [
        Text(uid="q", text="x", successors="c"),
        Choose(uid="c", choices=("a", "bc"), successors="r"),
        Text(uid="r", text=", so ", successors="d"),
        Choose(uid="d", choices=("1", "2"), width=None, model="judge", successors="e"),
        Choose(uid="e", choices=("3", "4"), width=None),
    ]
    tree = run(first, actions, models={"judge": second})
    said = tree.best().nodes[1].text
    judged = second.choose(f"x{said}, so ", ("1", "2"))
    assert [n.logprobs for n in nodes_of(tree, "d")] == [
        pytest.approx(score.token_logprobs) for score in judged.scores
    ]
    assert {node.model for node in nodes_of(tree, "d")} == {"judge"}
    followed = first.choose(f"x{said}, so 1", ("3", "4"))
    assert [n.logprobs for n in nodes_of(tree, "e")][:2] == [
        pytest.approx(score.token_logprobs) for score in followed.scores
    ]
    with pytest.raises(InputError, match="no model is given for 'judge'"):
        run(first, actions)


def test_eos_may_be_the_suffix() -> None:
    model = random_model(seed=8)
    tree = run(
        model,
        [Text(uid="q", text="x", successors="c"), Choose(uid="c", choices=("a", "b"), suffix=EOS)],
    )
    expected = model.choose("x", ("a", "b"), suffix=EOS)
    assert [n.prob for n in nodes_of(tree, "c")] == pytest.approx(
        [score.prob for score in expected.scores]
    )
