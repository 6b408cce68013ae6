"""Broken laws with their messages, for assertions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autocog_core.testing import BackendUnderTest, conformance


def broken_laws(make: Callable[[], object], **arguments: Any) -> dict[str, str]:
    """Return the messages of the broken laws, by name of the law."""
    subject = BackendUnderTest(make, **arguments)
    try:
        results = list(conformance(subject))
    finally:
        subject.close()
    assert sum(result.status in ("holds", "broken") for result in results) > 30
    return {result.law.name: str(result.violation) for result in results if result.violation}
