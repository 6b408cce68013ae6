"""Counts of what was tried with broken input and what came of it: the table in docs/reliability.md.

A test that tries many inputs is marked with `tried`, and notes the outcome of each:

    @tried("Program files, mutated", expect="one clear error", normal=40, soak=1000)
    def test_mutated_programs(trials: Trials) -> None:
        for seed in trials:
            ...
            trials.note("one clear error")

`nox -s reliability` runs these tests at their full length, and writes the table.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.soak import count

#: The folder into which each test writes its counts; unset in a normal run.
FOLDER_VARIABLE = "AUTOCOG_TRIALS"
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = "| What was tried | Expected | Trials | What came |\n| --- | --- | ---: | --- |"


@dataclass(kw_only=True)
class Trials:
    """What one test tries; iterating gives the seeds 0, 1, ... of this run.

    :ivar name: what is tried, in a few words.
    :ivar expect: what must come of every trial.
    :ivar normal: how many trials the normal run makes.
    :ivar soak: how many the long run makes.
    :ivar outcomes: how often each outcome came.
    """

    name: str
    expect: str
    normal: int
    soak: int
    outcomes: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return count(normal=self.normal, soak=self.soak)

    def note(self, outcome: str, times: int = 1) -> None:
        """Count an outcome that is as it should be."""
        self.outcomes[outcome] += times

    def row(self) -> str:
        """The row of the table."""
        came = ", ".join(f"{times:,} {outcome}" for outcome, times in self.outcomes.most_common())
        return f"| {self.name} | {self.expect} | {self.outcomes.total():,} | {came} |"


def tried(name: str, *, expect: str, normal: int, soak: int) -> Callable[[Any], Any]:
    """Mark a test that tries many inputs. It receives `trials` and notes every outcome.

    :param name: what is tried, for the table; unique.
    :param expect: what must come of every trial.
    :param normal: how many trials the normal run makes.
    :param soak: how many `nox -s soak` makes.
    """

    def decorate(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def run(*args: Any, trials: Trials, **fixtures: Any) -> None:
            trials.outcomes.clear()
            test(*args, trials=trials, **fixtures)
            assert trials.outcomes, "the test notes no outcome"
            if folder := os.environ.get(FOLDER_VARIABLE):
                file_name = re.sub(r"\W+", "-", name.lower()) + ".json"
                content = json.dumps({"name": name, "row": trials.row()})
                Path(folder, file_name).write_text(content, encoding="utf-8")

        trials = Trials(name=name, expect=expect, normal=normal, soak=soak)
        marked = pytest.mark.parametrize("trials", [pytest.param(trials, id="trials")])(run)
        return pytest.mark.tried(marked)

    return decorate


def rows_on_page() -> dict[str, str]:
    """The rows of the table in docs/reliability.md, by what was tried."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table.splitlines() if line and line not in HEAD]
    return {row.split("|")[1].strip(): row for row in rows}


def write_page(folder: Path) -> None:
    """Renew the rows of the tests that have written counts into `folder`; the others stay."""
    counts = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    rows = rows_on_page() | {each["name"]: each["row"] for each in counts}
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join([HEAD, *(rows[name] for name in sorted(rows, key=str.lower))])
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
