"""The law of wrappers that watch: through one, a model is the same as without it."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from autocog_core.advice.issue import AutocogWarning
from autocog_core.automaton import Choose, Complete, Text
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.testing.law_errors import LawViolation
from autocog_core.testing.texts import CHOICES, PROMPTS

LAW = "watching_changes_nothing"
_MESSAGES = ({"role": "user", "content": "Is water wet?"},)
_AUTOMATON = (
    Text(uid="ask", text="Is water wet?", successors=("answer",)),
    Choose(uid="answer", choices=(" Yes", " No"), width=None, successors=("why",)),
    Complete(uid="why", length=4, beams=2, width=2),
)
_PROMPT, _LAST = PROMPTS[0], PROMPTS[-1]


def _stream(model: Model) -> list[str]:
    return list(model.stream(_PROMPT, max_tokens=8, temperature=0))


#: What a user may ask of a model. Wrong input is among it: its error is a result too.
CALLS: Mapping[str, Callable[[Model], Any]] = {
    "info": lambda model: model.info,
    "fingerprint": lambda model: model.info.fingerprint,
    "capabilities": lambda model: model.capabilities,
    "tokenize": lambda model: model.tokenize(_LAST),
    "detokenize": lambda model: model.detokenize_bytes(model.tokenize(_LAST)),
    "vocabulary": lambda model: model.client.vocabulary(),
    "chat_prompt": lambda model: model.chat_prompt(_MESSAGES),
    "greedy": lambda model: model.greedy(_PROMPT),
    "a wrong id": lambda model: model.greedy([-1]),
    "next_tokens": lambda model: model.next_tokens(_PROMPT, k=5),
    "choose": lambda model: model.choose(_PROMPT, CHOICES),
    "choose by another norm": lambda model: model.choose(_PROMPT, CHOICES, norm="mean"),
    "choose the best": lambda model: model.choose(_PROMPT, CHOICES, top=1),
    "choose_many": lambda model: model.choose_many(PROMPTS, CHOICES),
    "complete": lambda model: model.complete(_PROMPT, max_tokens=8, temperature=0),
    "complete by sampling": lambda model: model.complete(
        _PROMPT, max_tokens=8, temperature=1, seed=1, n=2
    ),
    "an unknown option": lambda model: model.complete(_PROMPT, no_such_option=1),
    "stream": _stream,
    "run": lambda model: [
        (node.uid, node.text, node.path_logprob) for node in Automaton(_AUTOMATON).run(model).nodes
    ],
    "usage": lambda model: model.usage,
    "close": lambda model: model.close(),
    "after close": lambda model: model.greedy(_PROMPT),
}


def require_unchanged(
    make_backend: Callable[[], object], make_wrapper: Callable[[], object]
) -> None:
    """Check that a wrapper that watches changes nothing: each answer and each error is the same.

    :param make_backend: returns a backend, a new one of the same kind on every call. Its answers
        must not be random.
    :param make_wrapper: returns the wrapper, a new one on every call.
    :raises LawViolation: naming the call, what it returns without the wrapper, and with it.
    """
    plain, watched = Model(make_backend()), Model(make_backend(), wrappers=[make_wrapper()])
    # A wrapper may change what it has seen only when it sees it again.
    for name in (*CALLS, *CALLS):
        expected, got = (_result(CALLS[name], model) for model in (plain, watched))
        if name == "close" and not watched.client.is_closed:
            got = "the model is still open"
        difference = _difference(expected, got, name)
        if difference is not None:
            place, expected, got = difference
            violation = LawViolation(
                f"through the wrapper, a call has another result: {name}",
                given=place,
                expected=expected,
                got=got,
                cause=_diagnose(expected, got),
            )
            violation.law = LAW
            raise violation


class WrapperContractTests:
    """The law of wrappers that watch, as a test.

    For pytest::

        class TestMine(WrapperContractTests):
            def make_wrapper(self) -> MyWrapper:
                return MyWrapper()
    """

    def make_wrapper(self) -> object:
        """Return the wrapper; a new one on every call."""
        raise unittest.SkipTest("define `make_wrapper` to return your wrapper")

    def make_backend(self) -> object:
        """Return the backend under the wrapper: by default `random`, which needs no weights."""
        from autocog_core.backends.random import RandomLM

        return RandomLM(seed=7, vocabulary="merges")

    def test_watching_changes_nothing(self) -> None:
        """A wrapper that watches changes nothing."""
        __tracebackhide__ = True
        require_unchanged(self.make_backend, self.make_wrapper)


def _result(call: Callable[[Model], Any], model: Model) -> Any:
    """Return what a call returns, or the kind and the message of its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AutocogWarning)
            return call(model)
    except Exception as error:  # noqa: BLE001 - an error is a result
        return f"{type(error).__name__}: {error}"


def _difference(first: Any, second: Any, place: str) -> tuple[str, Any, Any] | None:
    """Return where two results differ, and the values there; None if they are equal.

    Arrays are compared bit for bit.
    """
    if type(first) is not type(second):
        return place, first, second
    if is_dataclass(first) and not isinstance(first, type):
        pairs = [
            (f"{place}.{field.name}", getattr(first, field.name), getattr(second, field.name))
            for field in fields(first)
            if field.compare
        ]
    elif isinstance(first, list | tuple) and len(first) == len(second):
        pairs = [
            (f"{place}[{index}]", *pair)
            for index, pair in enumerate(zip(first, second, strict=True))
        ]
    else:
        is_array = isinstance(first, np.ndarray)
        same = first.dtype == second.dtype and np.array_equal(first, second) if is_array else None
        return None if (first == second if same is None else same) else (place, first, second)
    found = (_difference(left, right, inner) for inner, left, right in pairs)
    return next((difference for difference in found if difference is not None), None)


def _diagnose(expected: Any, got: Any) -> str:
    if isinstance(got, str) and "Error: " in got:
        return "the wrapper raises an error of its own, or changes what a call gets"
    if isinstance(expected, str) and "Error: " in expected:
        return "the wrapper swallows the error of the call"
    return (
        "the wrapper returns something other than the answer of its `yield`, or changes the "
        "arguments or the answer in place: copy what you change"
    )
