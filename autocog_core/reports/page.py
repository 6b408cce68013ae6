"""The page of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocog_core.errors import InputError, shorten
from autocog_core.html.page import render_page, render_template
from autocog_core.html.tree_page import EXPLORER_SCRIPTS, EXPLORER_STYLES
from autocog_core.reports.figures.definitions import Group, RunFigures
from autocog_core.reports.number_table import (
    about_runs,
    format_figure,
    format_interval,
    pair_lines,
    run_lines,
)
from autocog_core.reports.page_charts import page_charts
from autocog_core.reports.report import Report
from autocog_core.reports.row_list import row_list
from autocog_core.reports.row_trees import row_trees, tree_folder
from autocog_core.reports.sentences import sentences_about, sentences_about_pair

#: Lines of a table of the most frequent.
_MAX_LINES = 10
#: Characters of an answer or of a group's value in a table. The JSON has them whole.
_MAX_TEXT = 120


def report_page(report: Report, *, title: str | None = None, tree_dirs: Sequence[Path] = ()) -> str:
    """Return a report as one HTML page, which is complete in itself.

    :param report: the report.
    :param title: the page's title; None names the runs.
    :param tree_dirs: the folders with the trees of the runs, in their order. Runs beyond their
        number have those that they wrote, if they are still there.
    :raises InputError: if such a folder is not there, there are more of them than runs, or a file
        in it is no tree.
    """
    trees = _trees(report, tree_dirs)
    figures = report.figures
    names = [run.name for run in figures.runs]
    title = title or f"Report of {' and '.join(names)}"
    rows = row_list(report)
    has_gold = bool(rows["has_gold"])
    body = render_template(
        "report.html",
        title=title,
        names=names,
        about=about_runs(figures.runs),
        summaries=[(run.name, sentences_about(run)) for run in figures.runs],
        comparisons=[(pair.second, sentences_about_pair(pair)) for pair in figures.pairs],
        numbers=run_lines(figures.runs),
        differences=pair_lines(figures.pairs),
        charts=list(page_charts(figures)),
        frequent=[
            (
                run.name,
                [(_short(text), rows) for text, rows in list(run.answers.items())[:_MAX_LINES]],
            )
            for run in figures.runs
            if run.accuracy is None and run.answers
        ],
        mistakes=[(run.name, cells) for run in figures.runs if (cells := _mistakes(run))],
        groups=[_group_table(run) for run in figures.runs if run.groups],
        failures=[
            (run.name, {"total": f"{run.errors:,}", "shown": run.first_errors})
            for run in figures.runs
            if run.errors
        ],
        has_gold=has_gold,
        columns=report.runs[0].columns,
        list_note=_list_note(rows, names, len(trees)),
    )
    return render_page(
        title,
        body,
        styles=(*EXPLORER_STYLES, "report.css"),
        scripts=(*EXPLORER_SCRIPTS, "report.js") if trees else ("report.js",),
        data={"report-rows": rows, **trees},
    )


def _trees(report: Report, tree_dirs: Sequence[Path]) -> dict[str, object]:
    """Return the trees of all runs by the ids that report.js looks for."""
    if len(tree_dirs) > len(report.runs):
        some = f"{len(tree_dirs)} folders for {len(report.runs)} run"
        raise InputError(f"{some}{'s' * (len(report.runs) > 1)}", where="tree-dir")
    trees: dict[str, object] = {}
    for number, run in enumerate(report.runs):
        given = tree_dirs[number] if number < len(tree_dirs) else None
        folder = tree_folder(run, given)
        for row, data in row_trees(run, folder).items() if folder else ():
            # The list has the rows of the first run.
            listed = report.first_row(number, row)
            if listed is not None:
                trees[f"tree-{number}-{listed}"] = data
    return trees


def _list_note(rows: dict[str, Any], names: list[str], trees: int) -> str:
    text = "Open a row to see its whole input and the alternatives of its answer."
    if trees:
        text = f"{text[:-1]}; {trees:,} rows have their whole tree."
    if len(names) > 1:
        text += f" The rows are those of {names[0]}, in the order of its losses."
    if len(rows["rows"]) < rows["all_rows"]:
        text += (
            f" The {len(rows['rows']):,} rows with the highest losses are listed, "
            f"of {rows['all_rows']:,}."
        )
    return text


def _short(text: str) -> str:
    return shorten(text, _MAX_TEXT)


def _mistakes(run: RunFigures) -> list[Any]:
    cells = [cell for cell in run.confusion if cell.gold != cell.answer][:_MAX_LINES]
    return [replace(cell, gold=_short(cell.gold), answer=_short(cell.answer)) for cell in cells]


def _group_table(run: RunFigures) -> dict[str, Any]:
    has_gold = any(group.accuracy is not None for group in run.groups)
    heads = [run.by, "rows", "errors", "mean probability"]
    return {
        "name": run.name,
        "by": run.by,
        "heads": heads + ["accuracy", "95% interval", "log loss", "Brier score"] * has_gold,
        "lines": [_group_line(group, has_gold) for group in run.groups],
        "left_out": run.groups_left_out,
    }


def _group_line(group: Group, has_gold: bool) -> list[str]:
    accuracy = format_figure(group.accuracy)
    mean = "" if group.mean_prob is None else f"{group.mean_prob:.4f}"
    line = [_short(group.value) or "(empty)", f"{group.rows:,}", f"{group.errors:,}", mean]
    if not has_gold:
        return line
    interval = format_interval(None if group.accuracy is None else group.accuracy.interval)
    losses = [format_figure(figure).text for figure in (group.log_loss, group.brier)]
    return [*line, accuracy.text, interval, *losses]
