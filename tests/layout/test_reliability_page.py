"""docs/reliability.md has a row for every test that is marked `tried`."""

from __future__ import annotations

import pytest

from tests.support.trials import rows_on_page


def test_page_has_a_row_for_every_marked_test(request: pytest.FixtureRequest) -> None:
    names = {
        item.callspec.params["trials"].name
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.get_closest_marker("tried")
    }
    assert names <= set(rows_on_page()), "run `nox -s reliability`"
