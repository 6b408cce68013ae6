"""What the laws find, for assertions that show what is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autocog_core.testing import BackendUnderTest, conformance


def broken(make: Callable[[], object], **given: Any) -> dict[str, str]:
    """By name, the laws that do not hold, with their messages."""
    subject = BackendUnderTest(make, **given)
    try:
        found = list(conformance(subject))
    finally:
        subject.close()
    assert sum(finding.status in ("holds", "broken") for finding in found) > 30
    return {f.law.name: str(f.violation) for f in found if f.status == "broken"}
