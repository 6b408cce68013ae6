"""Join the outputs of all shards of a run to the output of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from autocog_core.dataset import output_file
from autocog_core.dataset.destination import Destination
from autocog_core.dataset.file_writing import unwritable
from autocog_core.dataset.journal import Journal
from autocog_core.dataset.output_format import FormatName, OutputFormat, journal_path
from autocog_core.dataset.run_identity import (
    ROWS_KEY,
    SHARD_KEY,
    add_to_identity_file,
    describe_differences,
    write_identity,
)
from autocog_core.dataset.run_sessions import SESSIONS, sessions_of
from autocog_core.dataset.summary import Summary, summarize
from autocog_core.dataset.table_columns import TableOptions
from autocog_core.errors import InputError
from autocog_core.files import write_atomically

#: How many missing rows a message names.
_NAMED_ROWS = 5
#: How many missing shards.
_NAMED_SHARDS = 10


def merge_shards(
    outputs: Sequence[Path],
    output: Path,
    *,
    format_name: FormatName | None = None,
    options: TableOptions | None = None,
    overwrite: bool = False,
) -> Summary:
    """Join the outputs of all shards to the output that one run over all rows would have made.

    That run may continue it, for example with a larger `limit`.

    :param outputs: the outputs of all shards, in any order: the .jsonl files, or the tables with
        their journals beside them.
    :param output: the file to write; its name says the format.
    :param format_name: "jsonl", "csv", "tsv" or "parquet", whatever the name says.
    :param options: which columns a table has.
    :param overwrite: replace an earlier output.
    :returns: the summary of all rows.
    :raises InputError: if a shard or a row is missing, or the shards are those of different runs.
    """
    with ExitStack() as stack:
        journals = [stack.enter_context(Journal(_journal_of(path))) for path in outputs]
        shards = _in_order(journals)
        identities = [journal.identity for journal in shards]
        _require_one_run(shards, identities)
        for journal in shards:
            destination = Destination.of(
                output, journal.path, format_name=format_name, options=options
            )
        with output_file.lock_output(destination.journal):
            destination.require_new_or_known(overwrite)
            if not overwrite and destination.journal.exists():
                hint = "name another output file, or replace this one with --overwrite"
                raise InputError("exists already", where=str(output), hint=hint)
            rows = _count_rows(shards)
            identity = _without_shard(identities[0])
            table = identity.pop("table", None)
            sessions = [asdict(entry) for each in identities for entry in sessions_of(each)]
            try:
                with write_atomically(destination.journal) as stream:
                    for line in _take_turns(shards, rows):
                        stream.write(line)
                    # Not before all rows are read: an earlier output stays until then.
                    destination.remove()
                    write_identity(destination.journal, identity, table)
                    add_to_identity_file(destination.journal, {SESSIONS: sessions, ROWS_KEY: rows})
            except OSError as error:
                raise unwritable(destination.journal, error) from error
            gold_field = shards[0].gold_field
            summary = summarize(
                destination.journal,
                gold_field,
                rows,
                has_marginals=gold_field in shards[0].marginals,
            )
            destination.finish()
    return summary


def _journal_of(output: Path) -> Path:
    """Return the journal of an output: that of a table lies beside it."""
    try:
        journal = journal_path(output, OutputFormat.of(output))
    except InputError:
        # A name without a known suffix: of a journal, if it is one.
        return output
    return journal if journal.exists() else output


def _in_order(journals: Sequence[Journal]) -> list[Journal]:
    """Return the journals in the order of their shards.

    :raises InputError: if one is no shard, is given twice, or is missing.
    """
    first = journals[0].shard
    by_number: dict[int, Journal] = {}
    for journal in journals:
        shard = journal.shard
        if shard.is_whole:
            hint = "only outputs of `autocog run --shard I/N` are merged"
            raise InputError(
                "has all rows, not those of a shard", where=str(journal.path), hint=hint
            )
        if shard.count != first.count:
            message = f"is shard {shard}, and {journals[0].path} is shard {first}"
            raise InputError(message, where=str(journal.path), hint="merge the shards of one run")
        other = by_number.setdefault(shard.number, journal)
        if other is not journal:
            message = f"is shard {shard}, and so is {other.path}"
            raise InputError(message, where=str(journal.path), hint="name each shard once")
    number_missing = first.count - len(by_number)
    if number_missing:
        numbers = (number for number in range(1, first.count + 1) if number not in by_number)
        missing = [f"{number}/{first.count}" for number in islice(numbers, _NAMED_SHARDS)]
        dots = " ..." if number_missing > len(missing) else ""
        some = "shard" if number_missing == 1 else "shards"
        raise InputError(
            f"{some} {', '.join(missing)}{dots} missing",
            where="merge",
            hint=f"name the output of each, or run it: autocog run ... --shard {missing[0]}",
        )
    return [by_number[number] for number in sorted(by_number)]


def _require_one_run(shards: Sequence[Journal], identities: Sequence[Mapping[str, Any]]) -> None:
    """Check that the shards differ in nothing but their rows.

    :raises InputError: naming all differences of the first shard that differs.
    """
    first = _without_shard(identities[0])
    for journal, identity in zip(shards, identities, strict=True):
        differences = describe_differences(first, _without_shard(identity))
        if differences:
            message = f"is of another run than {shards[0].path}: " + " and ".join(differences)
            raise InputError(message, where=str(journal.path), hint="merge the shards of one run")


def _without_shard(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the identities of all shards have in common."""
    source = {name: value for name, value in identity["input"].items() if name != SHARD_KEY}
    common = {name: value for name, value in identity.items() if name not in (SESSIONS, ROWS_KEY)}
    return {**common, "input": source}


def _count_rows(shards: Sequence[Journal]) -> int:
    """Return the number of rows of all shards.

    :raises InputError: if a shard lacks rows that its own run did not reach, or that others show to
        exist.
    """
    counts = [sum(1 for line in journal.lines()) for journal in shards]
    rows = max(
        journal.shard.row(count - 1) + 1 if count else 0
        for journal, count in zip(shards, counts, strict=True)
    )
    for journal, count in zip(shards, counts, strict=True):
        shard = journal.shard
        size = max(shard.size(rows), journal.planned_rows)
        lacking = size - count
        if lacking > 0:
            named = [str(shard.row(count + more)) for more in range(min(lacking, _NAMED_ROWS))]
            dots = " ..." if lacking > len(named) else ""
            raise InputError(
                f"shard {shard} lacks {lacking:,} of {size:,} rows: {', '.join(named)}{dots}",
                where=str(journal.path),
                hint=f"repeat its run to the end: autocog run ... --shard {shard}",
            )
    return rows


def _take_turns(shards: Sequence[Journal], rows: int) -> Iterator[bytes]:
    """Yield the lines of all rows in order: one of each shard in turn."""
    lines = [journal.checked_lines() for journal in shards]
    for row in range(rows):
        number = row % len(lines)
        line = next(lines[number], None)
        if line is None:
            where = str(shards[number].path)
            raise InputError(f"has lost row {row}: the file was changed", where=where)
        yield line
