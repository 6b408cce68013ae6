"""Parts of the extension against their Python counterparts. Wrong arguments must not crash it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import llama_cpp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autocog_core import TreeQuery
from autocog_core.evaluation.prepared_steps import (
    PreparedAction,
    PreparedAutomaton,
    PreparedChoices,
    PreparedStep,
)
from autocog_core.hooks.automaton_run import Budget
from autocog_core.scoring.leaf_order import LeafOrder
from autocog_core.toolkit.stop_strings import find_first_stop
from autocog_llamacpp import LLaMa
from autocog_llamacpp.extension.load import load_extension
from tests.support.llamacpp.gguf_models import SPECIALS, gguf
from tests.support.llamacpp.tree_calls import check_sequence_lengths

_native = load_extension().module
pytestmark = pytest.mark.skipif(_native is None, reason="there is no extension")

#: Starts, ends and middles of characters, valid and invalid.
PARTS = st.sampled_from(
    [b"a", "é".encode(), "日".encode(), "😀".encode(), b"\xe0\x80", b"\xe0\xa0", b"\xed\xa0\x80"]
    + [b"\xf0\x8f", b"\xf0\x9f\x98", b"\xf4\x8f\xbf\xbf", b"\xf4\x90", b"\xf5", b"\xc0", b"\xc1"]
    + [bytes([byte]) for byte in (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE2, 0xEF, 0xFF, 0)]
)
EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
RAW = st.one_of(st.binary(max_size=12), st.lists(PARTS, max_size=8).map(b"".join))


@EXAMPLES
@given(RAW)
def test_invalid_utf8_is_replaced_as_in_python(raw: bytes) -> None:
    assert _native.decode_utf8_lossy(raw).decode("utf-8") == raw.decode("utf-8", errors="replace")


@EXAMPLES
@given(
    st.lists(st.sampled_from("ab.é日\n"), max_size=12).map(lambda parts: "".join(parts).encode()),
    st.integers(0, 14),
    st.lists(st.text("ab.é日\n", min_size=1, max_size=4), max_size=4),
)
def test_first_stop_equals_core(raw: bytes, before: int, stops: list[str]) -> None:
    expected = find_first_stop(raw, before, stops)
    start = _native.find_first_stop(raw, before, [stop.encode() for stop in stops])
    assert start == (-1 if expected is None else expected[0])


class FakeLogits:
    """Replaces the logits that the extension reads from llama.cpp by `row`."""

    def __init__(self, monkeypatch: Any) -> None:
        self.row = np.zeros(0, dtype=np.float32)
        # Must live: C calls it.
        kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        self._function = kind(lambda _: self.row.ctypes.data)
        monkeypatch.setattr(llama_cpp, "llama_get_logits", self._function)


#: Numbers of special tokens: rows of many lengths, also longer than one block.
EXTRA = (0, 1, 6, 300)
LOGITS = st.one_of(
    st.floats(-30, 30, width=32),
    st.sampled_from([0.0, 1.0, -1.0, 1e4, -1e4, 200.0, -np.inf, 88.0, -88.0]),
)


@pytest.fixture(params=EXTRA)
def check_row(
    request: Any, gguf_file: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """A function that reads a row with the extension, and compares it with NumPy."""
    logits = FakeLogits(monkeypatch)
    extra = [(f"<|{index}|>", gguf.TokenType.CONTROL) for index in range(request.param)]
    path = gguf_file(specials=(*SPECIALS, *extra))
    model = LLaMa(**LLaMa.create(model_path=str(path), n_ctx=64, n_threads=1, use_extension=True))
    session, width = model.engine.session, model.as_model().info.vocabulary_size
    numbers = count()

    def read(row: Any, top_k: int, mask: Any) -> None:
        logits.row = np.resize(row, width).astype(np.float32)
        allowed = None if mask is None else np.resize(mask, width)
        # Another prefix each time, because rows are cached.
        number = next(numbers)
        query = TreeQuery(
            prefix=[number % 250, number // 250 % 250],
            tokens=np.arange(width, dtype=np.int32),
            parents=np.full(width, -1, dtype=np.int32),
            top_at=np.array([-1], dtype=np.int32),
            top_k=top_k,
            mask=allowed,
        )
        answer = session.score_trees([query])[0]
        check(logits.row, top_k, allowed, answer)
        logprobs = session.row([number % 250])
        np.testing.assert_allclose(logprobs, np.minimum(0, answer.values), rtol=1e-6, atol=5e-6)

    yield read
    model.close()


def check(row: Any, top_k: int, mask: Any, answer: Any) -> None:
    """Compare the scores of a row with NumPy."""
    exact = row.astype(np.float64)
    top = exact.max()
    normalizer = top + np.log(np.exp(exact - top).sum())
    np.testing.assert_allclose(answer.values, exact - normalizer, rtol=0, atol=5e-6)
    possible = np.isfinite(row) & (True if mask is None else mask)
    ids = np.flatnonzero(possible)
    best = ids[np.argsort(-row[ids], kind="stable")][:top_k].tolist()
    assert answer.top_tokens[0, : len(best)].tolist() == best
    assert (answer.top_tokens[0, len(best) :] == -1).all()
    assert (
        np.abs(answer.top_logprobs[0, : len(best)] - (exact - normalizer)[best]).max(initial=0)
        < 5e-6
    )


rows = arrays(np.float32, st.integers(1, 40), elements=LOGITS)


def test_rows_are_read_as_in_numpy(check_row: Any) -> None:
    @EXAMPLES
    @given(
        rows.filter(lambda row: bool(np.isfinite(row).any())),
        st.sampled_from([1, 2, 3, 7, 40, 275, 276, 277, 600]),
        st.none() | arrays(np.bool_, st.integers(1, 40)),
    )
    def read(row: Any, top_k: int, mask: Any) -> None:
        check_row(row, top_k, mask)

    read()


ARRAY = np.array([1, 2], dtype=np.int32)
QUERY = TreeQuery(prefix=[5, 6], tokens=ARRAY, parents=np.array([-1, 0], dtype=np.int32))

#: Arguments of `score_trees` by problem, as changes of a correct query.
WRONG_QUERIES: dict[str, dict[str, Any]] = {
    "no prefix": {"prefix": []},
    "a prefix of words": {"prefix": ["a"]},
    "a prefix outside": {"prefix": [5, 10**6]},
    "a prefix below 0": {"prefix": [-1]},
    "a prefix beyond 32 bits": {"prefix": [2**40]},
    "no array": {"tokens": "ab"},
    "tokens of two dimensions": {"tokens": ARRAY.reshape(2, 1)},
    "tokens outside": {"tokens": np.array([1, 10**6], dtype=np.int32)},
    "tokens below 0": {"tokens": np.array([1, -1], dtype=np.int32)},
    "fewer parents": {"parents": np.array([-1], dtype=np.int32)},
    "a parent of itself": {"parents": np.array([-1, 1], dtype=np.int32)},
    "a parent before the root": {"parents": np.array([-2, 0], dtype=np.int32)},
    "top_at outside": {"top_at": np.array([2], dtype=np.int32), "top_k": 1},
    "top_at before the root": {"top_at": np.array([-2], dtype=np.int32), "top_k": 1},
    "top_k below 0": {"top_at": ARRAY[:1] * 0, "top_k": -1},
    "top_k as text": {"top_at": ARRAY[:1] * 0, "top_k": "1"},
    "a mask of another width": {"mask": np.ones(3, dtype=bool)},
}
REFUSED = (ValueError, TypeError)


@pytest.fixture
def native() -> bool:
    """Only the extension is tested here."""
    return True


@pytest.fixture
def session(make_llama: Any) -> Any:
    """The extension's session, and its model."""
    model = make_llama()
    return SimpleNamespace(native=model.engine.session._session, model=model)


def check_still_works(session: Any) -> None:
    """Check that the next call works, and that the bookkeeping of memory is correct."""
    before = session.native.score_trees([QUERY])[0]["values"]
    assert np.isfinite(before).all()
    check_sequence_lengths(session.model)


@pytest.mark.parametrize("problem", WRONG_QUERIES)
def test_wrong_queries_are_refused(session: Any, problem: str) -> None:
    fields = ("prefix", "tokens", "parents", "top_at", "top_k", "mask", "with_mask_logprobs")
    correct = {name: getattr(QUERY, name) for name in fields}
    wrong = SimpleNamespace(**{**correct, **WRONG_QUERIES[problem]})
    with pytest.raises(REFUSED):
        session.native.score_trees([QUERY, wrong])
    check_still_works(session)


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.score_trees(3),
        lambda session: session.score_trees(None),
        lambda session: session.row([]),
        lambda session: session.row([10**6]),
        lambda session: session.row("ab"),
        lambda session: session.row(None),
        lambda session: session.start([], 1, []),
        lambda session: session.start([1], 0, []),
        lambda session: session.start([1], 10**6, []),
        lambda session: session.start([1], -1, []),
        lambda session: session.start([1], 1, ()),
        lambda session: session.step([0], []),
        lambda session: session.step([0], [-1]),
        lambda session: session.step(["a"], [1]),
    ],
)
def test_wrong_calls_are_refused(session: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(REFUSED):
        call(session.native)
    check_still_works(session)


TEXT = PreparedAction(kind="text", successors=[], max_visits=None)
COMPLETE = PreparedAction(kind="complete", successors=[], max_visits=None, length=1)
AUTOMATON = PreparedAutomaton(
    actions=[TEXT], eos=[], context_length=None, budget=Budget(), best_first=False, top=None
)
STEP = PreparedStep(ids=[5, 6], settled=[(0, 0, 2, False)], scored_from=2, room=0)

WRONG_AUTOMATA: dict[str, PreparedAutomaton] = {
    "no actions": replace(AUTOMATON, actions=[]),
    "a successor that is not there": replace(AUTOMATON, actions=[replace(TEXT, successors=[1])]),
    "a successor below 0": replace(AUTOMATON, actions=[replace(TEXT, successors=[-1])]),
    "an unknown kind": replace(AUTOMATON, actions=[replace(TEXT, kind="dream")]),
    "an unknown norm": replace(
        AUTOMATON, actions=[PreparedAction(kind="choose", successors=[], max_visits=None, norm="x")]
    ),
    "no length": replace(AUTOMATON, actions=[replace(COMPLETE, length=0)]),
    "no beams": replace(AUTOMATON, actions=[replace(COMPLETE, beams=0)]),
    "a constraint without a set": replace(
        AUTOMATON, actions=[replace(COMPLETE, is_constrained=True)]
    ),
    "a mask of another width": replace(
        AUTOMATON, actions=[replace(COMPLETE, unmasked=np.ones(3, dtype=np.bool_))]
    ),
    "a stop outside the vocabulary": replace(
        AUTOMATON, actions=[replace(COMPLETE, stop_ids=[[10**6]])]
    ),
}
WRONG_STEPS: dict[str, PreparedStep] = {
    "ids outside": replace(STEP, ids=[5, 10**6]),
    "an unknown text": replace(STEP, settled=[(1, 0, 2, False)]),
    "a text beyond the ids": replace(STEP, settled=[(0, 1, 2, False)]),
    "a text before the ids": replace(STEP, settled=[(0, -1, 2, False)]),
    "scored outside": replace(STEP, scored_from=3),
    "scored from its first token": replace(STEP, scored_from=0, settled=[(0, 0, 2, True)]),
}


def new_group(session: Any) -> Any:
    return _native.RunGroup(session.native, session.model.engine.session._token_bytes)


@pytest.mark.parametrize("problem", WRONG_AUTOMATA)
def test_wrong_automata_are_refused(session: Any, problem: str) -> None:
    with pytest.raises(REFUSED):
        new_group(session).start(WRONG_AUTOMATA[problem])
    check_still_works(session)


@pytest.mark.parametrize("problem", WRONG_STEPS)
def test_wrong_steps_are_refused_and_correct_ones_accepted_later(
    session: Any, problem: str
) -> None:
    group = new_group(session)
    run = group.start(AUTOMATON)
    group.advance(9.0)
    ((key, action, ids, pending),) = group.missing_steps(run)
    assert (action, ids) == (-1, [])
    with pytest.raises(REFUSED):
        group.add_step(run, key, action, len(ids), len(pending), WRONG_STEPS[problem])
    group.add_step(run, key, action, len(ids), len(pending), STEP)
    group.advance(9.0)
    assert group.is_done(run)
    assert group.result(run)["nodes"][0]["tokens"] == (5, 6)
    group.finish(run)
    check_still_works(session)


#: The best of two choices, [5] and [5, 6].
CHOOSE = PreparedAction(kind="choose", successors=[], max_visits=None, choices=2, top=1)
ORDER = LeafOrder(
    choices=np.array([0, 1]),
    starts=np.array([0, 0, 1]),
    stops=np.array([2, 2, 2]),
    children=np.array([1, 2]),
    child_starts=np.array([0, 1, 2, 2]),
    choice_at=np.array([-1, 0, 1]),
)
CHOICES = PreparedChoices(
    tokens=[5, 6],
    parents=[-1, 0],
    path_nodes=[0, 0, 1],
    path_starts=[0, 1, 3],
    ends=[0, 1],
    eos=0,
    eos_token=-1,
    byte_lengths=[1.0, 1.0],
    unconditional=[],
    kept_tokens=[1, 2],
    retokenized_bytes=[b"", b""],
    order=ORDER,
)


def _order(**lists: list[int]) -> LeafOrder:
    return replace(ORDER, **{name: np.array(values) for name, values in lists.items()})


WRONG_CHOICES: dict[str, PreparedChoices] = {
    "an unknown choice": replace(CHOICES, order=_order(choices=[0, 2])),
    "a missing node": replace(CHOICES, order=_order(starts=[0, 0])),
    "a position outside": replace(CHOICES, order=_order(stops=[2, 2, 3])),
    "the prefix as a child": replace(CHOICES, order=_order(children=[0, 2])),
    "a child outside": replace(CHOICES, order=_order(children=[1, 3])),
    "children backwards": replace(CHOICES, order=_order(child_starts=[0, 2, 1, 2])),
    "a choice at no position": replace(CHOICES, order=_order(choice_at=[-1, 0, 2])),
    "a loop": replace(CHOICES, order=_order(children=[1, 1])),
    "a leaf without a choice": replace(CHOICES, order=_order(choice_at=[-1, 0, -1])),
}


@pytest.mark.parametrize("norm", ["sum", "pmi"])
def test_wrong_orders_of_choices_are_refused(session: Any, norm: str) -> None:
    group = new_group(session)
    with pytest.raises(REFUSED):
        group.start(replace(AUTOMATON, actions=[replace(CHOOSE, top=0)]))
    run = group.start(replace(AUTOMATON, actions=[replace(CHOOSE, norm=norm)]))
    group.advance(9.0)
    ((key, action, _, pending),) = group.missing_steps(run)
    given = [] if norm == "sum" else [-1.0, -2.0]
    step = PreparedStep(ids=[5, 6], settled=[], scored_from=2, room=0)
    choices = [*WRONG_CHOICES.values(), *([CHOICES] if norm == "pmi" else [])]
    for wrong in choices:
        faulty = wrong if wrong is CHOICES else replace(wrong, unconditional_logprobs=given)
        with pytest.raises(REFUSED):
            group.add_step(run, key, action, 2, len(pending), replace(step, choices=faulty))
    right = replace(CHOICES, unconditional_logprobs=given)
    group.add_step(run, key, action, 2, len(pending), replace(step, choices=right))
    group.advance(9.0)
    assert group.is_done(run)
    (node,) = group.result(run)["nodes"]
    assert node["choice"] in (0, 1)
    group.finish(run)
    check_still_works(session)


def test_unknown_runs_are_refused(session: Any) -> None:
    group = new_group(session)
    for call in (group.is_done, group.missing_steps, group.result):
        with pytest.raises((*REFUSED, IndexError)):
            call(7)
    group.finish(7)
    assert group.waiting() == []
