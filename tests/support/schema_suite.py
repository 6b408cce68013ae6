"""Count how many cases of the JSON Schema Test Suite a constrained text and a record tell apart.

The suite is not part of this repository. The sdist of the package `jsonschema` has it:

    pip download --no-deps --no-binary jsonschema jsonschema
    python -m tests.support.schema_suite jsonschema-*.tar.gz [--write PAGE] [--wrong]

Of each schema that is served, every instance is written in all forms that a text may have: any
order of keys, numbers with or without zeros at their end. A valid instance should be accepted in at
least one of them, an invalid one in none.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.schema_languages import forms_of, record_language, text_language

DRAFT = "/tests/draft2020-12/"
#: By name of the file: why its cases are not counted.
NOT_COUNTED = {
    "format": "says that formats are only notes; those of `optional/format` are counted",
    "optional/format-assertion": "about meta-schemas",
    "vocabulary": "about meta-schemas",
    "optional/cross-draft": "about older drafts",
    "optional/no-schema": "about schemas without a draft",
    "refRemote": "needs other documents",
    "infinite-loop-detection": "about validators",
}
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


@dataclass(slots=True)
class Counts:
    """Cases of one keyword for one way to serve schemas."""

    schemas: int = 0
    valid: int = 0
    accepted: int = 0
    invalid: int = 0
    refused: int = 0

    def add(self, other: Counts) -> None:
        """Add the cases of another keyword."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        if not self.schemas:
            return ["0", "", ""]
        shares = f"{self.accepted} of {self.valid}", f"{self.refused} of {self.invalid}"
        return [str(self.schemas), *shares]


@dataclass(slots=True)
class Row:
    """The cases of one file of the suite."""

    keyword: str
    schemas: int = 0
    text: Counts = field(default_factory=Counts)
    record: Counts = field(default_factory=Counts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path, help="the sdist, or the folder with the suite")
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    parser.add_argument("--wrong", action="store_true", help="print the cases that are not right")
    options = parser.parse_args(arguments)
    rows = [
        count_file(keyword, cases, show=options.wrong)
        for keyword, cases in read_suite(options.suite)
        if keyword not in NOT_COUNTED
    ]
    table = make_table(rows)
    if options.write is None:
        print(table)
        return
    page = options.write.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    options.write.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def read_suite(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each file of the draft, with its cases, in the order of their names."""
    texts: dict[str, bytes] = {}
    if path.is_dir():
        texts = {file.as_posix(): file.read_bytes() for file in path.rglob("*.json")}
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".json") and (file := archive.extractfile(member)):
                    texts[member.name] = file.read()
    for name in sorted(texts):
        _, is_test, keyword = f"/{name}".removesuffix(".json").partition(DRAFT)
        if is_test:
            yield keyword, json.loads(texts[name])


def count_file(keyword: str, cases: list[dict[str, Any]], *, show: bool) -> Row:
    """Count the cases of one file."""
    row = Row(keyword)
    for case in cases:
        row.schemas += 1
        for counts, language in (
            (row.text, text_language(case["schema"])),
            (row.record, record_language(case["schema"])),
        ):
            if language is None:
                continue
            counts.schemas += 1
            for test in case["tests"]:
                is_accepted = any(map(language, forms_of(test["data"])))
                if test["valid"]:
                    counts.valid += 1
                    counts.accepted += is_accepted
                else:
                    counts.invalid += 1
                    counts.refused += not is_accepted
                if show and is_accepted != test["valid"]:
                    kind = "text" if counts is row.text else "record"
                    wrong = "accepted" if is_accepted else "refused"
                    print(kind, wrong, keyword, json.dumps(case["schema"]), json.dumps(test))
    return row


def make_table(rows: list[Row]) -> str:
    """Return the table by keyword, and the keywords of which no schema is served."""
    total = Row("**all**")
    lines = [
        "| keyword | schemas | served as a text | valid accepted | invalid refused "
        "| served as a record | valid accepted | invalid refused |",
        "|---|---|---|---|---|---|---|---|",
    ]
    unserved = []
    for row in rows:
        total.schemas += row.schemas
        total.text.add(row.text)
        total.record.add(row.record)
        name = row.keyword.replace("optional/format/", "format: ").replace(
            "optional/", "optional: "
        )
        if row.text.schemas or row.record.schemas:
            lines.append(make_line(f"`{name}`", row))
        else:
            unserved.append(f"`{name}`")
    lines.append(make_line(total.keyword, total))
    return "\n".join(
        [*lines, "", "No schema of these files is served: " + ", ".join(unserved) + "."]
    )


def make_line(name: str, row: Row) -> str:
    """Return a line of the table."""
    cells = [name, str(row.schemas), *row.text.cells(), *row.record.cells()]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
