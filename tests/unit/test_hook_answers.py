"""What hooks return is checked: one error names the hook, the plugin, what came and what is due."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    EOS,
    AutocogError,
    Automaton,
    BackendInfo,
    Choose,
    ContractError,
    Model,
    NumericsError,
    Prompt,
    SpecialToken,
    Text,
    TreeQuery,
    Usage,
    hookimpl,
)
from autocog_core.backends.random import RandomLM
from autocog_core.hooks.automaton_run import AutomatonRun
from autocog_core.hooks.client import CHECKED_ROW_INTERVAL, CHECKED_ROW_SUMS

CHOICES = ["yes", "no"]
AUTOMATON = Automaton(
    [
        Text(uid="text", text="Sure?", successors="pick"),
        Choose(uid="pick", choices=CHOICES),
    ]
)


def query(**fields: Any) -> TreeQuery:
    given = {
        "prefix": [1, 2],
        "tokens": np.array([65, 66, 67], dtype=np.int32),
        "parents": np.array([-1, -1, 0], dtype=np.int32),
        "top_at": np.array([-1], dtype=np.int32),
        "top_k": 3,
    }
    return TreeQuery(**{**given, **fields})


CALLS: dict[str, Callable[[Model], Any]] = {
    "tokenize": lambda model: model.tokenize("ab"),
    "detokenize": lambda model: model.detokenize([65]),
    "vocabulary": lambda model: model.client.vocabulary(),
    "greedy_impl": lambda model: model.greedy("ab"),
    "greedy_tree_impl": lambda model: model.client.greedy_tree([query()]),
    "choose": lambda model: model.choose("Sure?", CHOICES),
    "complete": lambda model: model.complete("ab", max_tokens=3, stop=["."]),
    "chat_prompt": lambda model: model.chat_prompt([{"role": "user", "content": "x"}]),
    "describe": lambda model: model.info,
    "usage": lambda model: model.usage,
    "run_automata": lambda model: AUTOMATON.run(model),
}


def wrapper_of(hook: str, change: Callable[..., Any]) -> object:
    """Return a wrapper around a hook; `change` gets the right answer."""

    def changed(self: Any) -> Any:
        answer = yield
        return change(answer)

    # pluggy reads the parameters of a hook from its function: none are needed.
    kind = type("Changed", (), {hook: hookimpl(wrapper=True)(changed)})
    return kind()


def answers(hook: str, change: Callable[..., Any]) -> Model:
    return Model(Counting(), wrappers=[wrapper_of(hook, change)], name="m")


class Counting(RandomLM):
    """Counts its tokens, scores trees itself, and runs automata."""

    def usage_impl(self) -> Usage:
        return Usage(requests=1)

    def run_automata_impl(self, runs: Sequence[AutomatonRun]) -> Any:
        core = Model(RandomLM())
        trees = [AUTOMATON.run(core) for _ in runs]
        return [
            replace(tree, provenance=dict(run.provenance))
            for tree, run in zip(trees, runs, strict=True)
        ]


def first(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Change the first of several answers."""
    return lambda answer: [change(answer[0]), *answer[1:]]


def scores(**fields: Any) -> Callable[[Any], Any]:
    """Change fields of the first score of choices."""
    return lambda answer: replace(
        answer, scores=(replace(answer.scores[0], **fields), *answer.scores[1:])
    )


def inexact(**fields: Any) -> Callable[[Any], Any]:
    """Change fields of the first score of choices that are not exact."""
    return lambda answer: replace(scores(**fields)(answer), exact=False)


def node(index: int, **fields: Any) -> Callable[[Any], Any]:
    """Change fields of a node of a thought tree."""

    def change(tree: Any) -> Any:
        nodes = list(tree.nodes)
        nodes[index] = replace(nodes[index], **fields)
        return replace(tree, nodes=tuple(nodes))

    return first(change)


def array(name: str, index: Any, value: Any) -> Callable[[Any], Any]:
    """Change a value in an array of the first tree's scores."""

    def change(answer: Any) -> Any:
        values = getattr(answer, name).copy()
        values[index] = value
        return replace(answer, **{name: values})

    return first(change)


def fields(**values: Any) -> Callable[[Any], Any]:
    return lambda answer: replace(answer, **values)


#: The hook, how its answer is changed, and what the error says.
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("tokenize", lambda a: tuple(a), "expected list, got tuple"),
    ("tokenize", lambda a: [], "0 answers for 1 texts"),
    ("tokenize", lambda a: [np.array(a[0])], "expected a list of ids for each text, got ndarray"),
    ("tokenize", lambda a: [[1.0, 2.0]], "expected whole numbers, got float"),
    ("tokenize", lambda a: [["a"]], "expected whole numbers, got str"),
    ("tokenize", lambda a: [[True]], "expected whole numbers, got bool"),
    ("tokenize", lambda a: [[np.int64(3)]], "expected whole numbers, got int64"),
    ("tokenize", lambda a: [[1, 259]], "259 is outside the vocabulary 0..258"),
    ("tokenize", lambda a: [[-1, 5]], "-1 is outside the vocabulary"),
    ("detokenize", lambda a: "A", "expected bytes, got str"),
    ("detokenize", lambda a: bytearray(b"A"), "expected bytes, got bytearray"),
    ("vocabulary", lambda a: a[:-1], "258 entries for a vocabulary of 259"),
    ("vocabulary", lambda a: [*a[:-1], "x"], "expected bytes for each id, got bytes and str"),
    ("vocabulary", lambda a: b"x" * 259, "expected a sequence of bytes, got bytes"),
    ("greedy_impl", lambda a: a[:5], r"expected an array (259,), got (5,)"),
    ("greedy_impl", lambda a: a.tolist(), "got list"),
    ("greedy_impl", lambda a: np.zeros(259, dtype=int), "floating numbers, got int64"),
    ("greedy_impl", lambda a: a * np.nan, "are due: 259 of 259, first for token 0, after "),
    ("greedy_impl", lambda a: -a, "above 0"),
    ("greedy_impl", lambda a: a - 50, "do not sum to 1"),
    ("greedy_impl", lambda a: np.full_like(a, -np.inf), "-inf for each of 259 tokens"),
    ("greedy_impl", lambda a: a - np.float32(0.7), "probabilities sum to 0.4966, not 1"),
    ("greedy_impl", lambda a: np.minimum(a + np.float32(0.69), 0), "not 1"),
    ("greedy_tree_impl", lambda a: [], "0 answers for 1 queries"),
    ("greedy_tree_impl", lambda a: [{}], "expected TreeScores, got dict"),
    ("greedy_tree_impl", first(fields(values=np.zeros(2))), "expected values (3,), got (2,)"),
    (
        "greedy_tree_impl",
        array("values", 1, np.nan),
        "NaN where log-probabilities are due: 1 of 3, first for node 1",
    ),
    ("greedy_tree_impl", array("values", 1, 0.5), "returned 0.5, above 0"),
    ("greedy_tree_impl", array("values", slice(0, 2), 0.0), "after the prefix that sum to 2"),
    ("greedy_tree_impl", array("top_tokens", (0, 1), 259), "top_tokens: 259 is outside"),
    ("greedy_tree_impl", array("top_tokens", (0, 1), -2), "top_tokens: -2 is outside"),
    ("greedy_tree_impl", array("top_tokens", (0, 1), -1), "has no token where a value is"),
    ("greedy_tree_impl", array("top_logprobs", (0, 0), -90.0), "likeliest first"),
    ("greedy_tree_impl", array("top_logprobs", (0, 0), np.nan), "returned NaN"),
    (
        "greedy_tree_impl",
        first(lambda a: replace(a, top_tokens=np.zeros_like(a.top_tokens) + 7)),
        "a token twice",
    ),
    (
        "greedy_tree_impl",
        first(fields(top_logprobs=np.zeros(2))),
        "expected top_logprobs (1, 3)",
    ),
    ("greedy_tree_impl", first(fields(tokens_evaluated=None)), "tokens_evaluated"),
    ("choose", lambda a: a.to_dict(), "expected ChoiceScores, got dict"),
    ("choose", lambda a: replace(a, scores=a.scores[:1], index=0), "1 scores for 2 choices"),
    ("choose", lambda a: replace(a, scores=a.scores[::-1]), "a score of 'no' in place of 'yes'"),
    ("choose", scores(prob=3.0), "probabilities of choices that sum to"),
    ("choose", scores(prob=float("nan")), "probabilities of choices that sum to nan"),
    ("choose", scores(tokens=(), token_logprobs=()), "exact scores, but no tokens of 'yes'"),
    ("choose", scores(tokens=(1,)), "3 log-probabilities for 1 tokens"),
    ("choose", scores(tokens=(1, 2, 300)), "300 is outside the vocabulary"),
    ("choose", scores(logprob=-0.5), "logprob is not the sum of token_logprobs"),
    ("choose", scores(logprob=0.5), "returned 0.5, above 0"),
    ("choose", scores(mean_logprob=-0.5), "mean_logprob is not per token"),
    ("choose", scores(exclusive_logprob=0.0), "exclusive_logprob is above logprob"),
    ("choose", scores(logprob_per_byte=-0.5), "logprob_per_byte is not per byte"),
    ("choose", scores(pmi=-1.0), "pmi with the norm 'sum'"),
    ("choose", fields(has_prefix_choices=True), "has_prefix_choices is True"),
    ("choose", scores(tokens=(102, 111, 111)), "the tokens of 'yes' spell 'foo'"),
    ("choose", inexact(pmi=2.0), "pmi with the norm 'sum'"),
    ("choose", fields(norm="mean"), "by the norm 'mean', not 'sum'"),
    ("choose", fields(index=2), "index is 2"),
    ("choose", lambda a: replace(a, index=1 - a.index), "but another one is likelier"),
    ("choose", fields(boundary="odd"), "boundary is 'odd'"),
    ("choose", fields(unseen_probability=2.0), "unseen_probability is 2.0"),
    ("choose", fields(scores=None), "scores is not a tuple"),
    ("choose", inexact(logprob=5.0), "returned 5, above 0"),
    ("choose", inexact(logprob=float("nan")), "returned NaN"),
    ("choose", inexact(mean_logprob=2.0), "returned 2, above 0"),
    ("choose", inexact(logprob_per_byte=float("nan")), "returned NaN"),
    ("choose", inexact(exclusive_logprob=None), "returned NaN"),
    ("choose", inexact(pmi=float("nan")), "pmi is NaN"),
    ("choose", inexact(token_logprobs=(3.0,)), "1 log-probabilities for 3 tokens"),
    ("choose", inexact(tokens=(), token_logprobs=(3.0,)), "returned 3, above 0"),
    ("choose", inexact(tokens=(10**9,)), "1000000000 is outside the vocabulary"),
    ("choose", scores(tokens=()), "exact scores, but no tokens of 'yes'"),
    ("choose", fields(entropy=99.0), "returned entropy 99, but `prob` has"),
    ("choose", fields(margin=0.0), "returned margin 0, but `prob` has"),
    ("choose", fields(unseen_probability=0.5), "exact scores, but unseen_probability is 0.5"),
    ("choose", fields(exact="no"), "exact is 'no'"),
    ("choose", fields(tokens_evaluated=-5), "tokens_evaluated is -5"),
    ("choose", fields(entropy="high"), "its answer cannot be read: TypeError"),
    ("complete", lambda a: "text", "expected Completion, got str"),
    ("complete", fields(text=b"x"), "expected str, got bytes"),
    ("complete", fields(text="a.b"), "goes on after the stop string '.'"),
    ("complete", fields(text="\ud800"), "half of a surrogate pair"),
    ("complete", fields(tokens=(), logprobs=(-1.0,) * 4), "4 tokens for max_tokens=3"),
    ("complete", fields(logprobs=(-1.0,)), "1 log-probabilities for 3 tokens"),
    ("complete", fields(logprobs=(float("nan"),) * 3), "returned NaN"),
    ("complete", fields(tokens=(1, 2, 999)), "999 is outside the vocabulary"),
    ("complete", fields(tokens=(1,) * 4, logprobs=None), "4 tokens for max_tokens=3"),
    ("complete", fields(finish_reason="because"), "finish_reason is 'because'"),
    ("complete", fields(finish_reason="eos", stop_string="."), "'eos' with the stop string '.'"),
    ("complete", fields(finish_reason="stop", stop_string="?"), "no stop string of the request"),
    ("complete", lambda a: replace(a, alternatives=(a,)), "2 completions for n=1"),
    ("chat_prompt", lambda a: "text", "expected Prompt, got str"),
    ("chat_prompt", lambda a: Prompt(("x",)), "pieces has str"),  # type: ignore[arg-type]
    ("describe", lambda a: {"name": "x"}, "expected BackendInfo, got dict"),
    ("describe", fields(vocabulary_size=0), "vocabulary_size is 0"),
    ("describe", fields(name=PurePosixPath("a/b")), "not a str: use str(...)"),
    ("describe", fields(vocabulary_size="many"), "vocabulary_size is 'many'"),
    ("describe", fields(bos=-1), "bos is -1"),
    ("describe", fields(bos=None), "adds_bos is set, but bos is None"),
    ("describe", fields(eos=(-1,)), "eos is (-1,)"),
    ("describe", fields(eos=[1]), "eos is [1], not a tuple"),
    ("describe", fields(tolerance=float("nan")), "tolerance is nan"),
    ("describe", fields(max_concurrency=0), "max_concurrency is 0"),
    ("describe", fields(capabilities=("chooze",)), "['chooze'], which are no hooks"),
    ("describe", fields(special_tokens=(SpecialToken("x", -1),)), "bad special"),
    ("usage", lambda a: 5, "expected Usage, got int"),
    ("usage", fields(requests=-1), "requests is -1"),
    ("run_automata", lambda a: [], "0 answers for 1 runs"),
    ("run_automata", lambda a: ["tree"], "expected ThoughtTree, got str"),
    ("run_automata", node(1, uid="other"), "'other', which is no action"),
    ("run_automata", node(1, parent=1), "node 1 has the parent 1"),
    ("run_automata", node(1, prob=3.0), "node 1 has prob 3.0"),
    ("run_automata", node(1, length=9), "node 1 has length 9"),
    ("run_automata", node(1, tokens=(1, 2, 999)), "999 is outside the vocabulary"),
    ("run_automata", node(1, path_logprob=-0.5), "not the sum along the path"),
    ("run_automata", node(1, logprobs=(0.5, -1.0, -1.0)), "returned 0.5, above 0"),
]


@pytest.mark.parametrize(
    ("hook", "change", "message"), [pytest.param(*row, id=f"{row[0]}: {row[2]}") for row in WRONG]
)
def test_a_wrong_answer_is_one_error_that_names_hook_and_plugins(
    hook: str, change: Callable[..., Any], message: str
) -> None:
    is_wrong = [True]
    model = answers(hook, lambda answer: change(answer) if is_wrong[0] else answer)
    with pytest.raises((ContractError, NumericsError)) as caught:
        CALLS[hook](model)
    error = caught.value
    assert message in error.message
    assert error.message.startswith(hook)
    assert error.where == "m"
    assert "around Counting (tests.unit.test_hook_answers)" in error.hint
    # Nothing of it stays: the next call works.
    is_wrong[0] = False
    CALLS[hook](model)


@pytest.mark.parametrize("hook", list(CALLS))
def test_a_right_answer_passes_the_checks(hook: str) -> None:
    seen: list[Any] = []
    assert CALLS[hook](answers(hook, lambda answer: seen.append(answer) or answer)) is not None  # type: ignore[func-returns-value]
    assert seen


def test_lower_bounds_and_choices_without_tokens_pass_the_checks() -> None:
    nothing = {"tokens": (), "token_logprobs": (), "logprob": -np.inf, "mean_logprob": -np.inf}
    for change in (inexact(**nothing), inexact(token_logprobs=None), inexact(logprob=-3.0)):
        assert not answers("choose", change).choose("Sure?", CHOICES).exact


def test_a_replacement_character_for_broken_bytes_is_no_stop_string() -> None:
    model = answers("complete", lambda answer: replace(answer, text="a\ufffdb"))
    assert model.complete("ab", max_tokens=3, stop=["\ufffd"]).text == "a\ufffdb"


def test_the_sums_of_the_first_rows_are_checked() -> None:
    is_halved = [False]
    change: Callable[[Any], Any] = lambda row: row - np.float32(0.7) if is_halved[0] else row  # noqa: E731
    client = answers("greedy_impl", change).client
    for token in range(CHECKED_ROW_SUMS - 1):
        client.greedy([token])
    is_halved[0] = True
    with pytest.raises(NumericsError, match="not 1"):
        client.greedy([65])
    is_halved[0] = False
    client.greedy([65])
    # From here on, a pass over each whole vocabulary would cost too much: some rows are checked.
    is_halved[0] = True
    for _ in range(CHECKED_ROW_INTERVAL - CHECKED_ROW_SUMS - 1):
        assert client.greedy([65]).max() < 0
    with pytest.raises(NumericsError, match="not 1"):
        client.greedy([65])


@pytest.mark.parametrize("suffix", [EOS, ".", " and"])
def test_a_suffix_or_a_norm_that_a_backend_ignores_is_refused(suffix: Any) -> None:
    class Ignores(RandomLM):
        def choose_impl(self, request: Any) -> Any:
            return RandomLM().choose(request.prompt, request.choices)

    model = Model(Ignores())
    assert model.choose("x", CHOICES).exact
    with pytest.raises(ContractError, match="do not end with the suffix"):
        model.choose("x", CHOICES, suffix=suffix)
    with pytest.raises(ContractError, match="by the norm 'sum', not 'mean'"):
        model.choose("x", CHOICES, norm="mean")
    right = answers("choose", lambda answer: answer)
    assert right.choose("x", CHOICES, suffix=suffix).scores
    assert right.choose("x", CHOICES, norm="pmi").scores


def test_a_strict_boundary_that_a_backend_ignores_is_refused() -> None:
    model = answers("choose", fields(boundary="healed"))
    with pytest.raises(ContractError, match="healed in spite of"):
        model.choose("x", CHOICES, boundary="strict")


def test_tokens_that_a_mask_excludes_are_refused() -> None:
    mask = np.zeros(259, dtype=np.bool_)
    mask[65:70] = True
    given = query(mask=mask)
    assert answers("greedy_tree_impl", lambda a: a).client.greedy_tree([given])
    with pytest.raises(ContractError, match="the mask excludes"):
        answers("greedy_tree_impl", array("top_tokens", (0, 0), 80)).client.greedy_tree([given])


def test_a_query_may_name_a_token_twice() -> None:
    certain = np.full(259, -np.inf, dtype=np.float32)
    certain[65] = 0.0

    class Certain(RandomLM):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            return certain

    twice = query(
        tokens=np.array([65, 65], dtype=np.int32), parents=np.array([-1, -1], dtype=np.int32)
    )
    model = Model(Certain(), wrappers=[wrapper_of("greedy_tree_impl", lambda answer: answer)])
    assert model.client.greedy_tree([twice])[0].values.tolist() == [0.0, 0.0]


def test_an_error_of_one_run_inside_an_engine_is_its_result() -> None:
    model = answers("run_automata", lambda answer: [ContractError("broken")])
    (result,) = AUTOMATON.run_many(model, [{}])
    assert isinstance(result, AutocogError)
    assert result.message == "broken"


def test_an_end_of_sequence_outside_the_vocabulary_is_never_asked_for() -> None:
    model = answers("describe", lambda info: replace(info, eos=(*info.eos, 259, 300)))
    right = Model(Counting())
    assert model.choose("x", CHOICES, suffix=EOS) == right.choose("x", CHOICES, suffix=EOS)


def test_an_end_without_a_declared_eos_is_refused_where_core_writes_texts_too() -> None:
    class Undeclared(Counting):
        def describe_impl(self) -> Any:
            return replace(super().describe_impl(), eos=())

    model = Model(Undeclared(), wrappers=[wrapper_of("complete", fields(finish_reason="eos"))])
    with pytest.raises(ContractError, match=r"'eos', but info\.eos declares no EOS"):
        model.complete("x", max_tokens=2)
    # A server that only completes may know EOS by itself.
    only = Model(
        Undeclared(),
        wrappers=[
            wrapper_of("complete", fields(finish_reason="eos")),
            wrapper_of("describe", fields(capabilities=("complete", "describe", "tokenize"))),
        ],
    )
    assert only.complete("x", max_tokens=2).finish_reason == "eos"


def test_a_stop_that_the_request_does_not_have_is_refused() -> None:
    model = answers("complete", lambda answer: replace(answer, finish_reason="stop"))
    assert model.complete("x", stop=["never"], max_tokens=2).stop_string is None
    with pytest.raises(ContractError, match="the request has no stop string"):
        model.complete("x", max_tokens=2)


def test_a_field_of_a_description_that_is_misspelt_or_missing_is_named() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"name": "x", "vocab_size": 9}, 'no field "vocab_size"; did you mean "vocabulary_size"?'),
        ({"name": "x"}, r"needs vocabulary_size: BackendInfo(name=..., vocabulary_size=...)"),
    ]
    for values, message in wrong:
        with pytest.raises(TypeError, match=re.escape(message)):
            BackendInfo(**values)
    with pytest.raises(TypeError, match="needs name and vocabulary_size"):
        BackendInfo("x", 9)  # type: ignore[misc]
