"""Suites of laws of which the normal run checks some, and the long run all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autocog_core.testing import LAWS, BackendContractTests


def run_always(
    laws: set[str],
) -> Callable[[type[BackendContractTests]], type[BackendContractTests]]:
    """Return a decorator that marks all other laws as soak tests."""
    unknown = laws - {law.name for law in LAWS}
    assert not unknown, unknown

    def mark(suite: type[BackendContractTests]) -> type[BackendContractTests]:
        for law in LAWS:
            if law.name not in laws:
                setattr(suite, f"test_{law.name}", pytest.mark.soak(_copy_test(f"test_{law.name}")))
        return suite

    return mark


def _copy_test(name: str) -> Callable[[BackendContractTests], None]:
    """Return a law's test that can be marked without an effect on other suites."""
    inherited = getattr(BackendContractTests, name)

    def test(self: BackendContractTests) -> None:
        inherited(self)

    return test
