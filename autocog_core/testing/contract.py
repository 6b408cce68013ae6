"""The laws as a pytest suite that a plugin runs with one subclass."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.conformance import check
from autocog_core.testing.law import LAWS, Law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.texts import CHOICES, PROMPTS, TRICKY_TEXTS


class BackendContractTests:
    """A test for each law of backends.

    For pytest::

        class TestMine(BackendContractTests):
            def make(self) -> MyLM:
                return MyLM(path="model.bin")

    All tests of a class share one model; some laws make more models. A test is skipped, with the
    reason, if its law does not apply to the backend.

    :cvar prompts: prompts for the model. Give your own if its vocabulary cannot express these. The
        laws build all their texts from prompts and choices.
    :cvar choices: choices for the model. Give your own for the same reason.
    :cvar tricky_texts: texts that detokenization must restore.
    :cvar max_context: a context of more tokens is filled only if that takes little time.
    :cvar quick: check fewer cases, with the shortest of the built-in texts.
    """

    prompts: ClassVar[Sequence[str]] = PROMPTS
    choices: ClassVar[Sequence[str]] = CHOICES
    tricky_texts: ClassVar[Sequence[str]] = TRICKY_TEXTS
    max_context: ClassVar[int] = 4096
    quick: ClassVar[bool] = False
    _subject: ClassVar[BackendUnderTest | None] = None

    def make(self) -> Any:
        """Return a backend, or a `Model` of one; a new one on every call."""
        raise NotImplementedError(
            f"{type(self).__name__} has no method `make`: define it to return your backend"
        )

    #: Override it if you can compute the numbers in another way. It takes a text, and returns the
    #: log-probability of each token of `model.encode(text)` but the first.
    reference_logprobs: Callable[[str], Sequence[float]] | None = None

    #: Override it if the backend's engine is not in its attribute `engine`. It takes no arguments,
    #: and returns two backends over one engine: `MyLM(**created), MyLM(**created)`.
    make_pair: Callable[[], tuple[Any, Any]] | None = None

    @classmethod
    def teardown_class(cls) -> None:
        """Close the models."""
        if cls._subject is not None:
            cls._subject.close()
            cls._subject = None

    def _check(self, law: Law) -> None:
        # pytest makes one instance per test, so the class holds the models.
        cls = type(self)
        if cls._subject is None:
            cls._subject = BackendUnderTest(
                self.make,
                reference=self.reference_logprobs,
                prompts=self.prompts,
                choices=self.choices,
                tricky_texts=self.tricky_texts,
                max_context=self.max_context,
                make_pair=self.make_pair,
                quick=self.quick,
            )
        __tracebackhide__ = True
        check_or_skip(law, cls._subject)


def check_or_skip(law: Law, subject: BackendUnderTest) -> None:
    """Check a law inside a test of pytest or unittest.

    :raises AssertionError: if the law is broken.
    :raises unittest.SkipTest: if it does not apply.
    """
    # pytest then shows the violation without the traceback of its check.
    __tracebackhide__ = True
    try:
        check(law, subject)
        for problem in subject.take_warnings():
            warnings.warn(f"{law.name}: {problem}", stacklevel=2)
    except NotApplicableError as error:
        raise unittest.SkipTest(str(error)) from error
    except LawViolation as error:
        # It names the author's lines. With the cause, pytest would show all of core's as well.
        raise AssertionError(str(error)) from None


def _test_for(law: Law) -> Callable[[BackendContractTests], None]:
    def test(self: BackendContractTests) -> None:
        __tracebackhide__ = True
        self._check(law)

    test.__name__ = f"test_{law.name}"
    test.__doc__ = law.title
    return test


for _law in LAWS:
    setattr(BackendContractTests, f"test_{_law.name}", _test_for(_law))
