"""`autocog report`: figures about finished runs, as a page and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.output import show_json
from autocog_core.cli.session import session
from autocog_core.errors import InputError, UsageError


def report(
    outputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUT",
            help="Outputs of `autocog run`: .jsonl files, or tables beside their journals. The "
            "others are compared with the first.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page to write: one .html file."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Also write the figures as JSON; - is stdout."),
    ] = None,
    gold: Annotated[
        str | None,
        typer.Option(
            metavar="[FIELD=]COLUMN",
            help="Column of the input with the right answers (default: that of the run).",
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="The field that the report is about (default: that of the right answers, or the "
            "last named choice).",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Divide the rows into groups by a column of the input."
        ),
    ] = None,
    tree_dirs: Annotated[
        list[Path] | None,
        typer.Option(
            "--tree-dir",
            metavar="DIR",
            help="Folder with the trees of the run (default: that of `autocog run --trees`). The "
            "page has those of the 100 rows with the highest losses. Repeatable, in the order of "
            "the outputs.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
) -> None:
    """Write a report of finished runs: accuracy, calibration, costs, and how runs differ.

    The page is one file that opens without a network.
    """
    from autocog_core.dataset.file_writing import write_file
    from autocog_core.reports.page import report_page
    from autocog_core.reports.report import make_report, report_json

    if output is None and json_file is None:
        raise UsageError("nothing to write", where="report", hint="give -o FILE or --json FILE")
    for path in (output, json_file):
        _require_own_file(path, outputs)
    with session.spinner("reading the rows, and drawing them again 2,000 times"):
        made = make_report(outputs, gold=gold, field=field, by=by)
        page = None
        if output is not None:
            page = report_page(made, title=title, tree_dirs=tree_dirs or ())
    if json_file == Path("-"):
        show_json(made.to_dict())
    elif json_file is not None:
        write_file(json_file, report_json(made))
    if output is not None and page is not None:
        write_file(output, page)
    for path in (output, json_file):
        if path is not None and path != Path("-"):
            session.info(f"{path}: {', '.join(f'{len(run.answers):,} rows' for run in made.runs)}")


def _require_own_file(path: Path | None, outputs: list[Path]) -> None:
    """Check that a file to write is none of those that are read, or that a run needs."""
    from autocog_core.dataset.run_identity import identity_path
    from autocog_core.reports.figures.run_columns import journal_of

    for output in outputs:
        journal = journal_of(output)
        for read in (output, journal, identity_path(journal)):
            if path is not None and path.exists() and read.exists() and path.samefile(read):
                raise InputError("is a file of a run", where=str(path), hint="name another file")
