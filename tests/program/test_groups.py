"""Groups of questions in program files: what they mean, their errors, and their results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Ask, Automaton, Budget, Choose, InputError, Text, ThoughtTree
from autocog_core.automaton import Action
from autocog_core.dataset.output_row import make_output_row, read_output_row, to_line
from autocog_core.evaluation.cost_estimate import estimate_cost
from autocog_core.testing import assert_record
from autocog_core.viz import graph_dot, graph_mermaid, graph_svg
from tests.support.automata.groups import check_sums, followed
from tests.support.small_backends import random_model

REVIEW: dict[str, Any] = {
    "inputs": {"review": "text", "labels": {"type": "list", "default": ["price", "delivery"]}},
    "actions": [
        {"text": "Review: {{ review }}\n", "evaluate": True},
        {
            "ask": [
                [{"text": "Price?"}, {"name": "price", "choices": [" yes", " no"]}],
                [{"text": "Stars:"}, {"name": "stars", "choices": [" 1", " 2", " 3"]}],
            ]
        },
        {"text": "Price: {{ fields.price }}. Summary:"},
        {"name": "summary", "choices": [" short", " long"]},
        {
            "for_each": {"in": "labels", "as": "label"},
            "name": "labels",
            "ask": [
                [
                    {"text": "\nAbout {{ label }}, as {{ fields.stars }}?"},
                    {"name": "answer", "choices": [" yes", " no"]},
                ]
            ],
        },
        {"text": "\n{{ fields.labels.price }} {{ fields.labels.price.prob > 0 }}", "name": "last"},
    ],
}


def run(data: dict[str, Any], values: dict[str, Any] | None = None, **options: Any) -> ThoughtTree:
    return Automaton.from_dict(data).run(random_model(seed=4), values or {}, **options)


@pytest.fixture(scope="module")
def tree() -> ThoughtTree:
    return run(REVIEW, {"review": "Good."})


def test_answers_are_fields_of_one_record(tree: ThoughtTree) -> None:
    fields = tree.fields
    assert list(fields) == ["price", "stars", "summary", "labels", "last"]
    assert fields["price"] in ("yes", "no")
    assert fields["stars"] in ("1", "2", "3")
    assert list(fields["labels"]) == ["price", "delivery"]
    assert fields["last"] == f"\n{fields['labels']['price']} True"
    assert_record(tree, {"labels": fields["labels"]})
    check_sums(tree)
    assert ThoughtTree.from_dict(tree.to_dict()) == tree


def test_a_question_sees_earlier_fields_and_none_of_its_siblings(tree: ThoughtTree) -> None:
    path = tree.best()
    stars = path.fields["stars"]
    about = [node.text for node in path.nodes if "About" in node.text]
    assert about == [f"\nAbout price, as {stars}?", f"\nAbout delivery, as {stars}?"]
    # What the last text continues: neither the questions nor their answers.
    assert path.context == "".join(
        node.text for node in path.nodes if node.uid in ("text-1", "text-3", "summary", "last")
    )


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
@pytest.mark.parametrize("order", ["breadth_first", "best_first"])
def test_orders_and_strategies_agree(tree: ThoughtTree, strategy: Any, order: Any) -> None:
    other = run(REVIEW, {"review": "Good."}, strategy=strategy, order=order)
    assert [(node.uid, node.text, node.parent) for node in other.nodes] == [
        (node.uid, node.text, node.parent) for node in tree.nodes
    ]


def test_rows_have_the_answers_of_each_item(tree: ThoughtTree) -> None:
    row = make_output_row(0, tree)
    assert row["fields"]["labels"] == tree.fields["labels"]
    assert list(row["probs"]["labels"]) == ["price", "delivery"]
    names = ("price", "stars", "summary")
    shares = [*(row["probs"][name] for name in names), *row["probs"]["labels"].values()]
    assert row["prob"] == pytest.approx(math.prod(shares))
    assert read_output_row(to_line(row), 0) == row


def test_many_rows_run_together() -> None:
    automaton = Automaton.from_dict(REVIEW)
    rows = [{"review": "a"}, {"review": "b", "labels": []}, {"review": "c", "labels": ["price"]}]
    model = random_model(seed=4)
    results = list(automaton.run_many(model, rows, concurrency=3))
    # The last text needs the answer for "price".
    assert isinstance(results[1], InputError)
    for index in (0, 2):
        result = results[index]
        assert isinstance(result, ThoughtTree)
        assert result.fields == automaton.run(model, rows[index]).fields


def items(values: Any, for_each: dict[str, str] | None = None) -> ThoughtTree:
    each = {"in": "x", "as": "one", **(for_each or {})}
    question = [{"text": "{{ one }}?" if not for_each else "{{ one.name }}?"}, {**YES, "name": "a"}]
    data = {
        "inputs": {"x": "list"},
        "actions": [{"ask": [question], "for_each": each, "name": "f"}],
    }
    return run(data, {"x": values})


YES: dict[str, Any] = {"choices": [" yes", " no"]}


def test_an_empty_list_gives_no_answers() -> None:
    assert items([]).fields == {"f": {}}


def test_items_have_names_in_the_result() -> None:
    assert list(items([" a ", 2, True, 0.5]).fields["f"]) == ["a", "2", "true", "0.5"]
    labels = [{"name": "a", "about": "x"}, {"name": "b", "about": "y"}]
    assert list(items(labels, {"key": "one.name"}).fields["f"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b", "a "], "two items of \"x\" are 'a'"),
        ([1, "1"], "two items of \"x\" are '1'"),
        ([["a"]], 'item 0 of "x": is a list, expected a text, a number or a boolean'),
        ([{"name": "a"}], "give `key`, for example `key: one.name`"),
        (["a"] * 10_001, '"x" has 10,001 items, expected at most 10,000'),
    ],
)
def test_items_that_have_no_name_are_refused(values: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        items(values)
    assert message in str(raised.value)
    assert 'action "f": for_each' in str(raised.value)


def test_several_answers_for_an_item_are_a_record() -> None:
    questions = [[{"text": "{{ one }}"}, {**YES, "name": name}] for name in ("good", "new")]
    data = {
        "inputs": {"x": {"type": "list", "default": ["a", "b"]}},
        "actions": [
            {"ask": questions, "for_each": {"in": "x", "as": "one"}, "name": "f"},
            {"text": "{% for key, it in fields.f.items() %}{{ key }}{{ it.new }} {% endfor %}"},
        ],
    }
    tree = run(data)
    assert {key: list(value) for key, value in tree.fields["f"].items()} == {
        "a": ["good", "new"],
        "b": ["good", "new"],
    }
    new = [record["new"] for record in tree.fields["f"].values()]
    assert tree.best().end.text == f"a{new[0]} b{new[1]} "


def test_a_group_runs_once_for_each_open_path() -> None:
    ask = [[{"text": "?"}, {**YES, "name": "a"}], [{"length": 2, "name": "b"}]]
    tree = run({"actions": [{"text": "x"}, {**YES, "width": 2}, {"ask": ask}, {"text": "."}]})
    assert len(tree.complete) == 2
    groups = [index for index, node in enumerate(tree.nodes) if node.uid == "ask-3"]
    assert len(groups) == 2
    for path in tree.complete:
        assert set(path.fields) == {"a", "b"}
        assert path.nodes[-1].context_parent in groups
    check_sums(tree)


def test_a_new_text_in_a_question_or_after_the_group_sees_nothing_before() -> None:
    """Texts before the group have their scores nevertheless."""
    fresh = {"context": "fresh", "text": "New"}
    ask = [[fresh, {**YES, "name": "a"}], [{"text": "b"}, {**YES, "name": "b"}]]
    data = {
        "actions": [{"text": "xy", "evaluate": True}, {"ask": ask}, fresh, {**YES, "name": "c"}]
    }
    tree = run(data)
    nodes = {node.name or node.uid: node for node in tree.best().nodes}
    assert nodes["text-2.1.1"].context_parent == -1
    assert nodes["text-3"].context_parent == -1
    assert nodes["text-2.2.1"].context_parent == nodes["text-2.1.1"].parent
    assert len(nodes["text-1"].logprobs) == 2
    assert nodes["a"].logprobs == pytest.approx(nodes["c"].logprobs)
    check_sums(tree)
    text = run(data, strategy="text")
    assert [node.text for node in text.nodes] == [node.text for node in tree.nodes]
    check_sums(text)


def test_a_question_that_may_not_go_on_ends_its_path() -> None:
    loop = [
        {"uid": "more", "text": "?", "max_visits": 1},
        {"choices": [{"text": "a", "next": "more"}, {"text": "b", "next": "more"}]},
    ]
    other = [{"text": "b"}, {**YES, "name": "b"}]
    tree = run({"actions": [{"text": "x"}, {"ask": [loop, other]}, {"text": "y"}]})
    assert not tree.complete
    path = followed(tree)
    assert path[-1].pruned_by == "max_visits"
    assert path[-1].name == "b"


def test_the_scores_of_choices_in_questions_are_kept() -> None:
    automaton = Automaton.from_dict(REVIEW)
    (tree,) = automaton.run_many(random_model(seed=4), [{"review": "a"}], keep_scores=True)
    assert isinstance(tree, ThoughtTree)
    for node in tree.best().nodes:
        if node.name in ("price", "stars", "summary", "labels") and node.logprobs:
            _, scores = tree.choice_scores[node.parent]
            assert node.text in [score.choice for score in scores.scores]
            assert max(scores.scores, key=lambda score: score.prob).choice == node.text


@pytest.mark.parametrize("limit", [{"tokens": 30}, {"paths": 2}, {"nodes": 6}])
def test_a_budget_that_ends_inside_a_group_leaves_its_nodes(limit: dict[str, int]) -> None:
    ask = [[{"length": 9, "name": "a"}], [{"text": "b"}, {**YES, "name": "b"}, {"length": 4}]]
    data = {"actions": [{"text": "x"}, {"ask": ask}, {"text": "y"}, {"length": 3, "next": "end"}]}
    tree = run(data, budget=Budget(**limit))
    assert tree.stopped_by == next(iter(limit))
    path = tree.best(partial=True)
    assert path.end.pruned_by == "budget"
    assert path.nodes[1].uid == "ask-2"
    check_sums(tree)


def test_items_work_side_by_side_and_share_the_text_before() -> None:
    """Their number adds no model calls."""
    values = [str(number) for number in range(20)]
    assert items(values).stats["model_calls"] == items(["1"]).stats["model_calls"]
    automaton = Automaton.from_dict(REVIEW).bind({"review": "Good."})
    estimate = estimate_cost(automaton, random_model(seed=4).client)
    tree = run(REVIEW, {"review": "Good."})
    assert tree.stats["model_calls"] <= estimate.calls
    assert tree.stats["unique_tokens"] <= estimate.tokens


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ("- ask: []", "PATH:2: action 1: ask: is empty; give at least 1"),
        ("- ask: [[]]", "PATH:2: action 1: ask[0]: is empty; give at least 1"),
        ("- ask: [{text: a}]", "PATH:2: action 1: ask[0]: expected a list, got a mapping"),
        (
            "- ask: [[{ask: [[{text: a}]]}]]",
            'PATH:2: action 1: ask[0][0]: expected a mapping with one of the keys "text", '
            '"messages", "choices", "length" or "record": a question has no groups',
        ),
        (
            "- ask:\n  - [{text: a}]\n  - - {text: b, widht: 1}",
            "PATH:4: action 1: ask[1][0].widht: unknown key",
        ),
        (
            "- ask:\n  - - text: a\n      width: 1",
            "PATH:4: action 1: ask[0][0].width: is a key of choose and complete actions, but this "
            "is a text action",
        ),
        (
            "- ask:\n  - - {text: a, next: b}\n- {uid: b, text: b}",
            'PATH:3: action 1: ask[0][0]: unknown successor "b"; it is not in this question, '
            "which ends with `next: end`",
        ),
        (
            "- ask:\n  - [{name: a, length: 1}]\n  - [{name: a, length: 1}]",
            'PATH:2: action 1: 2 of its questions set the field "a": rename all but one',
        ),
        (
            "- ask: [[{choices: [a], width: null}]]",
            "PATH:2: action 1: ask[0][0]: width is null: a question follows its best branch only, "
            "so remove width",
        ),
        (
            "- ask: [[{text: a}]]\n  model: m",
            "PATH:2: action 1: a group has no model: give `model` to the actions of its questions",
        ),
        (
            "- ask: [[{text: a}]]\n  name: f",
            'PATH:2: action "f": a group has no text: give `name` to the actions of its questions',
        ),
        (
            "- ask: [[{name: a, length: 1}], [{text: '{{ fields.a }}'}]]",
            'PATH:2: action 1: ask[1][0]: the field "a" may be unset here: the path ask-1 > '
            "text-1.2.1 does not set it; give a default: {{ fields.a | default('') }}",
        ),
        (
            "- ask: [[{name: a, length: 1}]]\n  for_each: {in: x, as: one}",
            "PATH:2: action 1: for_each needs a `name`: the field for the answers, by item",
        ),
        (
            "- ask: [[{text: '{{ two }}'}, {name: a, length: 1}]]\n  for_each: {in: x, as: one}\n"
            "  name: f",
            'PATH:2: action "f": ask[0][0]: unknown input "two" in a template; valid names: one, x',
        ),
        (
            "- ask: [[{name: a, length: 1}]]\n  for_each: {in: x, as: x}\n  name: f",
            'PATH:2: action "f": for_each: an input has the name "x" too: choose another one for '
            "`as`",
        ),
        (
            "- ask: [[{name: a, length: 1}]]\n  for_each: {in: x, as: fields}\n  name: f",
            'PATH:2: action "f": for_each: the name "fields" is reserved in templates: choose '
            "another one for `as`",
        ),
        (
            "- ask: [[{name: a, length: 1}]]\n  for_each: {in: x, as: one}\n  name: f\n"
            "- text: '{{ fields.a }}'",
            'PATH:5: action 2: unknown field "a" in a template; valid names: f',
        ),
        (
            "- {name: a, length: 1}\n- ask: [[{name: a, length: 1}]]\n"
            "  for_each: {in: x, as: one}\n  name: f",
            'PATH:3: action "f": the field "a" of its questions is also a field outside: rename it',
        ),
        (
            "- ask: [[{name: a, length: 1}]]\n  for_each: {in: x, at: one}\n  name: f",
            "PATH:3",
        ),
    ],
)
def test_errors_name_the_place(tmp_path: Path, actions: str, message: str) -> None:
    path = tmp_path / "program.yaml"
    inputs = "inputs: {x: list}\n" if "for_each" in actions else ""
    path.write_text(f"actions:\n{actions}\n{inputs}", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        Automaton.from_file(path)
    assert message in str(raised.value).replace(str(path), "PATH")


def test_groups_are_drawn_with_the_place_where_they_meet() -> None:
    automaton = Automaton.from_dict(REVIEW)
    for draw in (graph_mermaid, graph_dot, graph_svg):
        picture = draw(automaton)
        assert "ask-2 joined" in picture
        assert "labels joined" in picture


def test_simplifying_merges_texts_inside_questions() -> None:
    question: tuple[Action, ...] = (
        Text(uid="a", text="a", successors=("b",)),
        Text(uid="b", text="b", successors=("c",)),
        Choose(uid="c", choices=("x", "y")),
    )
    automaton = Automaton(
        [Text(uid="t", text="t", successors=("g",)), Ask(uid="g", questions=(question,))]
    )
    group = automaton.simplify().actions[1]
    assert isinstance(group, Ask)
    assert [action.uid for action in group.questions[0]] == ["a", "c"]
    assert group.questions[0][0].text == "ab"  # type: ignore[attr-defined]


def test_a_field_is_a_list_only_where_it_is_set_again() -> None:
    """A later group does not set it again, and groups of items have fields of their own."""
    twice = [{"text": "{{ one }}"}, {**YES, "name": "a"}, {**YES, "name": "a"}]
    once = [{"text": "{{ one }}"}, {**YES, "name": "a"}, {"text": "{{ fields.a }}"}]
    each = {"in": "x", "as": "one"}
    data = {
        "inputs": {"x": {"type": "list", "default": [1]}},
        "actions": [
            {"ask": [[{"text": "t"}, {**YES, "name": "first"}]]},
            {"text": "{{ fields.first }}"},
            {"ask": [[{**YES, "name": "second"}, {"text": "{{ fields.first }}"}]]},
            {"ask": [twice], "for_each": each, "name": "f"},
            {"ask": [once], "for_each": each, "name": "g"},
        ],
    }
    tree = run(data)
    first, _, f, g = tree.fields.values()
    assert [node.text for node in tree.best().nodes if "text" in node.uid] == [
        *("t", first, first, "1", "1", g["1"])
    ]
    assert len(f["1"]) == 2


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_pmi_in_a_question_compares_with_the_constant_text_before_the_group(strategy: Any) -> None:
    model = random_model(seed=4, bos=False)
    start = {"text": "Q: {{ q }}\nA"}
    choice = {"choices": [" yes", " no"], "norm": "pmi"}
    for question in ([choice], [{"text": ":"}, choice]):
        nodes = []
        for actions in ([start, {"ask": [question]}], [start, *question]):
            data = {"inputs": {"q": "text"}, "actions": actions}
            tree = Automaton.from_dict(data).run(model, {"q": "Why?"}, strategy=strategy)
            nodes.append(tree.nodes[-1])
        assert nodes[0].unconditional_prompt == nodes[1].unconditional_prompt
        assert nodes[0].prob == pytest.approx(nodes[1].prob)


def test_the_limit_of_nodes_counts_the_path_through_all_questions() -> None:
    """It counts neither pruned branches, nor each question alone."""
    choices = [f" {letter}" for letter in "abcdefg"]
    data = {
        "inputs": {"x": {"type": "list", "default": list(range(10))}},
        "actions": [
            {"text": "a"},
            {
                "ask": [[{"text": "{{ one }}"}, {"choices": choices, "name": "a"}]],
                "for_each": {"in": "x", "as": "one"},
                "name": "f",
            },
            {"text": "b"},
        ],
    }
    path = run(data).best().nodes
    assert len(path) == 23
    assert run(data, budget=Budget(nodes=23)).best().nodes == path
    for nodes in (11, 21, 22):
        tree = run(data, budget=Budget(nodes=nodes))
        assert tree.stopped_by == "nodes"
        # The action after a text starts with it.
        assert len(tree.best(partial=True).nodes) <= nodes + 1
        check_sums(tree)


def test_a_bound_program_runs_as_the_program_itself(tree: ThoughtTree) -> None:
    """Its questions are filled in for each item. Only a file cannot hold them."""
    bound = Automaton.from_dict(REVIEW).bind({"review": "Good."})
    for same in (bound, bound.simplify(), bound.bind()):
        assert same.run(random_model(seed=4)).nodes == tree.nodes
    with pytest.raises(InputError, match="before `bind`"):
        bound.to_dict()
    other = Automaton.from_dict(REVIEW).bind({"review": "Good.", "labels": ["price"]})
    assert other.digest != bound.digest


def test_errors_of_an_item_name_it() -> None:
    step = {"name": "a", "choices": {"each": "one.options"}}
    data = {
        "inputs": {"x": "list"},
        "actions": [
            {
                "ask": [[{"text": "{{ one.name }}"}, step]],
                "for_each": {"in": "x", "as": "one", "key": "one.id"},
                "name": "f",
            },
        ],
    }
    good = {"id": 1, "name": "n", "options": ["a"]}
    for bad, message in (
        ({"id": "two", "options": ["b"]}, 'item "two": action "text-1.1.1": template: a mapping'),
        ({**good, "id": "two", "options": []}, 'for the item "two": has no choices'),
    ):
        with pytest.raises(InputError) as raised:
            run(data, {"x": [good, bad]})
        assert message in str(raised.value)
