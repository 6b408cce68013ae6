"""The laws as a pytest suite that a plugin runs by subclassing one class."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.conformance import check
from autocog_core.testing.law import LAWS, Law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.texts import CHOICES, PROMPTS, TRICKY_TEXTS


class BackendContractTests:
    """Every law that a backend keeps, as a test each.

    For pytest::

        class TestMine(BackendContractTests):
            def make(self) -> MyLM:
                return MyLM(path="model.bin")

    One model serves all tests of a class; laws that need another one make it. A law about what the
    backend does not offer is skipped, and says so.

    :cvar prompts: texts that the model is asked; give your own where its vocabulary cannot write
        these. All laws ask in their words.
    :cvar choices: alternatives that it is asked for; give your own likewise.
    :cvar tricky_texts: texts that must come back from their tokens.
    :cvar max_context: contexts of more tokens are not filled to their end.
    """

    prompts: ClassVar[Sequence[str]] = PROMPTS
    choices: ClassVar[Sequence[str]] = CHOICES
    tricky_texts: ClassVar[Sequence[str]] = TRICKY_TEXTS
    max_context: ClassVar[int] = 4096
    _subject: ClassVar[BackendUnderTest | None] = None

    def make(self) -> Any:
        """A backend, or a `Model` of one: a new one with every call."""
        raise NotImplementedError(f"{type(self).__name__} has no `make`: it makes your backend")

    #: Override it, if you can tell the numbers by other means: it takes a text and gives the
    #: log-probability of each token of `model.encode(text)` but the first.
    reference_logprobs: Callable[[str], Sequence[float]] | None = None

    @classmethod
    def teardown_class(cls) -> None:
        """Close the models."""
        if cls._subject is not None:
            cls._subject.close()
            cls._subject = None

    def _check(self, law: Law) -> None:
        # pytest makes an instance for each test: what is kept is kept on the class.
        cls = type(self)
        if cls._subject is None:
            cls._subject = BackendUnderTest(
                self.make,
                reference=self.reference_logprobs,
                prompts=self.prompts,
                choices=self.choices,
                tricky_texts=self.tricky_texts,
                max_context=self.max_context,
            )
        __tracebackhide__ = True
        check_or_skip(law, cls._subject)


def check_or_skip(law: Law, subject: BackendUnderTest) -> None:
    """Check a law in a test of pytest's or unittest's, for suites with models of several kinds.

    :raises AssertionError: if it is broken. unittest.SkipTest: if it does not apply.
    """
    # pytest is to show what is broken, and not how it was found out.
    __tracebackhide__ = True
    try:
        check(law, subject)
    except NotApplicableError as error:
        raise unittest.SkipTest(str(error)) from error
    except LawViolation as error:
        raise AssertionError(str(error)) from error.__cause__


def _test_of(law: Law) -> Callable[[BackendContractTests], None]:
    def test(self: BackendContractTests) -> None:
        __tracebackhide__ = True
        self._check(law)

    test.__name__ = f"test_{law.name}"
    test.__doc__ = law.title
    return test


for _law in LAWS:
    setattr(BackendContractTests, f"test_{_law.name}", _test_of(_law))
