"""The extension's parts, each against what it is a twin of; and that nothing given crashes it."""

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
    PreparedStep,
)
from autocog_core.hooks.automaton_run import Budget
from autocog_core.toolkit.stop_strings import find_first_stop
from autocog_llamacpp import LLaMa
from autocog_llamacpp.extension.load import native as found
from tests.support.llamacpp.gguf_models import SPECIALS, gguf
from tests.support.llamacpp.tree_calls import check_account

_native = found().module
pytestmark = pytest.mark.skipif(_native is None, reason="there is no extension")

#: Beginnings, ends and middles of characters, right ones and wrong ones.
PARTS = st.sampled_from(
    [b"a", "é".encode(), "日".encode(), "😀".encode(), b"\xe0\x80", b"\xe0\xa0", b"\xed\xa0\x80"]
    + [b"\xf0\x8f", b"\xf0\x9f\x98", b"\xf4\x8f\xbf\xbf", b"\xf4\x90", b"\xf5", b"\xc0", b"\xc1"]
    + [bytes([byte]) for byte in (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE2, 0xEF, 0xFF, 0)]
)
EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
RAW = st.one_of(st.binary(max_size=12), st.lists(PARTS, max_size=8).map(b"".join))


@EXAMPLES
@given(RAW)
def test_what_is_no_text_is_replaced_as_python_does(raw: bytes) -> None:
    assert _native.replaced(raw).decode("utf-8") == raw.decode("utf-8", errors="replace")


@EXAMPLES
@given(
    st.lists(st.sampled_from("ab.é日\n"), max_size=12).map(lambda parts: "".join(parts).encode()),
    st.integers(0, 14),
    st.lists(st.text("ab.é日\n", min_size=1, max_size=4), max_size=4),
)
def test_the_first_stop_is_that_of_core(raw: bytes, before: int, stops: list[str]) -> None:
    expected = find_first_stop(raw, before, stops)
    start = _native.first_stop(raw, before, [stop.encode() for stop in stops])
    assert start == (-1 if expected is None else expected[0])


class GivenLogits:
    """Stands before llama.cpp's logits: the model computes, and the extension reads `row`."""

    def __init__(self, monkeypatch: Any) -> None:
        self.row = np.zeros(0, dtype=np.float32)
        # Kept: C calls it.
        kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        self._function = kind(lambda _: self.row.ctypes.data)
        monkeypatch.setattr(llama_cpp, "llama_get_logits", self._function)


#: How many special tokens: rows end anywhere in a vector, and are longer than one block.
EXTRA = (0, 1, 6, 300)
LOGITS = st.one_of(
    st.floats(-30, 30, width=32),
    st.sampled_from([0.0, 1.0, -1.0, 1e4, -1e4, 200.0, -np.inf, 88.0, -88.0]),
)


@pytest.fixture(params=EXTRA)
def given_rows(
    request: Any, gguf_file: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Reads rows by the extension, and holds what it says of them against NumPy."""
    logits = GivenLogits(monkeypatch)
    more = [(f"<|{number}|>", gguf.TokenType.CONTROL) for number in range(request.param)]
    path = gguf_file(specials=(*SPECIALS, *more))
    model = LLaMa(**LLaMa.create(model_path=str(path), n_ctx=64, n_threads=1, use_extension=True))
    session, width = model.engine.session, model.as_model().info.vocabulary_size
    numbers = count()

    def read(row: Any, top_k: int, mask: Any) -> None:
        logits.row = np.resize(row, width).astype(np.float32)
        allowed = None if mask is None else np.resize(mask, width)
        # Another prefix each time, for what follows one is kept.
        number = next(numbers)
        asked = TreeQuery(
            [number % 250, number // 250 % 250],
            np.arange(width, dtype=np.int32),
            np.full(width, -1, dtype=np.int32),
            top_at=np.array([-1], dtype=np.int32),
            top_k=top_k,
            mask=allowed,
        )
        answer = session.score_trees([asked])[0]
        check(logits.row, top_k, allowed, answer)
        whole = session.row([number % 250])
        np.testing.assert_allclose(whole, np.minimum(0, answer.values), rtol=1e-6, atol=5e-6)

    yield read
    model.close()


def check(row: Any, top_k: int, mask: Any, answer: Any) -> None:
    """Hold what was read from a row against NumPy."""
    exact = row.astype(np.float64)
    top = exact.max()
    whole = top + np.log(np.exp(exact - top).sum())
    np.testing.assert_allclose(answer.values, exact - whole, rtol=0, atol=5e-6)
    possible = np.isfinite(row) & (True if mask is None else mask)
    ids = np.flatnonzero(possible)
    best = ids[np.argsort(-row[ids], kind="stable")][:top_k].tolist()
    assert answer.top_tokens[0, : len(best)].tolist() == best
    assert (answer.top_tokens[0, len(best) :] == -1).all()
    assert np.abs(answer.top_logprobs[0, : len(best)] - (exact - whole)[best]).max(initial=0) < 5e-6


rows = arrays(np.float32, st.integers(1, 40), elements=LOGITS)


def test_rows_are_read_as_numpy_does(given_rows: Any) -> None:
    @EXAMPLES
    @given(
        rows.filter(lambda row: bool(np.isfinite(row).any())),
        st.sampled_from([1, 2, 3, 7, 40, 275, 276, 277, 600]),
        st.none() | arrays(np.bool_, st.integers(1, 40)),
    )
    def read(row: Any, top_k: int, mask: Any) -> None:
        given_rows(row, top_k, mask)

    read()


ARRAY = np.array([1, 2], dtype=np.int32)
QUERY = TreeQuery([5, 6], ARRAY, np.array([-1, 0], dtype=np.int32))

#: Of `score_trees`: what is wrong, as changes of a query that is right.
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
    """The extension alone is asked here."""
    return True


@pytest.fixture
def session(make_llama: Any) -> Any:
    """The extension's own session, and the model that it is of."""
    model = make_llama()
    return SimpleNamespace(native=model.engine.session._session, model=model)


def still_works(session: Any) -> None:
    """The next call answers, and memory is what it is believed to be."""
    before = session.native.score_trees([QUERY])[0][0]
    assert np.isfinite(before).all()
    check_account(session.model)


@pytest.mark.parametrize("what", WRONG_QUERIES)
def test_wrong_queries_are_refused(session: Any, what: str) -> None:
    fields = ("prefix", "tokens", "parents", "top_at", "top_k", "mask")
    right = {name: getattr(QUERY, name) for name in fields}
    wrong = SimpleNamespace(**{**right, **WRONG_QUERIES[what]})
    with pytest.raises(REFUSED):
        session.native.score_trees([QUERY, wrong])
    still_works(session)


@pytest.mark.parametrize(
    "call",
    [
        lambda own: own.score_trees(3),
        lambda own: own.score_trees(None),
        lambda own: own.row([]),
        lambda own: own.row([10**6]),
        lambda own: own.row("ab"),
        lambda own: own.row(None),
        lambda own: own.open([], 1, []),
        lambda own: own.open([1], 0, []),
        lambda own: own.open([1], 10**6, []),
        lambda own: own.open([1], -1, []),
        lambda own: own.open([1], 1, ()),
        lambda own: own.step([0], []),
        lambda own: own.step([0], [-1]),
        lambda own: own.step(["a"], [1]),
    ],
)
def test_wrong_calls_are_refused(session: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(REFUSED):
        call(session.native)
    still_works(session)


TEXT = PreparedAction("text", [], None)
COMPLETE = PreparedAction("complete", [], None, length=1)
PROGRAM = PreparedAutomaton([TEXT], [], None, Budget(), best_first=False, top=None)
SITE = PreparedStep([5, 6], [(0, 0, 2, False)], 2, 0)

WRONG_PROGRAMS: dict[str, PreparedAutomaton] = {
    "no actions": replace(PROGRAM, actions=[]),
    "a successor that is not there": replace(PROGRAM, actions=[replace(TEXT, successors=[1])]),
    "a successor below 0": replace(PROGRAM, actions=[replace(TEXT, successors=[-1])]),
    "an unknown kind": replace(PROGRAM, actions=[replace(TEXT, kind="dream")]),
    "an unknown norm": replace(PROGRAM, actions=[PreparedAction("choose", [], None, norm="x")]),
    "no length": replace(PROGRAM, actions=[replace(COMPLETE, length=0)]),
    "no beams": replace(PROGRAM, actions=[replace(COMPLETE, beams=0)]),
    "a limit without a set": replace(PROGRAM, actions=[replace(COMPLETE, limited=True)]),
    "a mask of another width": replace(
        PROGRAM, actions=[replace(COMPLETE, free=np.ones(3, dtype=np.bool_))]
    ),
    "a stop outside the vocabulary": replace(
        PROGRAM, actions=[replace(COMPLETE, stop_ids=[[10**6]])]
    ),
}
WRONG_SITES: dict[str, PreparedStep] = {
    "ids outside": replace(SITE, ids=[5, 10**6]),
    "a text that was not said": replace(SITE, settled=[(1, 0, 2, False)]),
    "a text beyond the ids": replace(SITE, settled=[(0, 1, 2, False)]),
    "a text before the ids": replace(SITE, settled=[(0, -1, 2, False)]),
    "scored outside": replace(SITE, scored_from=3),
    "scored from its first token": replace(SITE, scored_from=0, settled=[(0, 0, 2, True)]),
}


def begun(session: Any) -> Any:
    return _native.Runs(session.native, session.model.engine.session._pieces)


@pytest.mark.parametrize("what", WRONG_PROGRAMS)
def test_wrong_programs_are_refused(session: Any, what: str) -> None:
    with pytest.raises(REFUSED):
        begun(session).begin(WRONG_PROGRAMS[what])
    still_works(session)


@pytest.mark.parametrize("what", WRONG_SITES)
def test_wrong_sites_are_refused_and_right_ones_taken_after_them(session: Any, what: str) -> None:
    runs = begun(session)
    number = runs.begin(PROGRAM)
    runs.advance(9.0)
    ((key, action, ids, pending),) = runs.missing(number)
    assert (action, ids) == (-1, [])
    with pytest.raises(REFUSED):
        runs.give(number, key, action, len(ids), len(pending), WRONG_SITES[what])
    runs.give(number, key, action, len(ids), len(pending), SITE)
    runs.advance(9.0)
    assert runs.done(number)
    assert runs.result(number)[0][0][3] == (5, 6)
    runs.end(number)
    still_works(session)


def test_runs_that_are_not_there_are_refused(session: Any) -> None:
    runs = begun(session)
    for call in (runs.done, runs.missing, runs.result):
        with pytest.raises((*REFUSED, IndexError)):
            call(7)
    runs.end(7)
    assert runs.waiting() == []
