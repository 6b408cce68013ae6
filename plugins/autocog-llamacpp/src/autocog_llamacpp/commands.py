"""`autocog gguf`: looking at .gguf files, and quantizing them.

Imported when the command is used; what each command needs is imported when that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocog_core.cli import (
    AsJson,
    Debug,
    Quiet,
    add_number,
    add_text,
    escape_controls,
    facts_table,
    info,
    new_table,
    progress,
    show,
    show_json,
)
from autocog_llamacpp.gguf.quantization_types import TYPES

if TYPE_CHECKING:
    from autocog_llamacpp.gguf.info import GgufInfo, TokenizerInfo

app = typer.Typer(invoke_without_command=True)

#: A value of the metadata is cut here for people; --json has all of it.
_LONG = 2000


@app.callback()
def gguf(context: typer.Context) -> None:
    """Look at .gguf files, and quantize them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


SourceFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A .gguf file, or package:PKG/FILE.")
]


@app.command("info")
def show_info(
    file: SourceFile,
    everything: Annotated[
        bool, typer.Option("--all", help="Also all metadata, the chat template's text included.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what a .gguf file is: model, quantization, tokenizer.

    Only its header is read, and nothing is loaded.
    """
    from autocog_llamacpp.gguf.info import read_gguf_info

    found = read_gguf_info(file)
    if as_json:
        show_json(found.to_dict(metadata=everything))
        return
    show(facts_table(_facts(found)))
    if found.tensor_types:
        show("", _tensor_table(found))
    if everything:
        show("", facts_table(_metadata(found.metadata)))


_TYPE_HELP = """Write a .gguf file with weights of another type.

TYPE is one of these, with roughly the bits of a weight; most mix several types.

\b
{}

The target appears when it is complete. Rows that do not suit a type get a larger one."""


def _type_columns() -> str:
    cells = [f"{name:<10}{bits:>5.1f}" for name, bits in TYPES.items()]
    return "\n".join("    ".join(cells[at : at + 4]) for at in range(0, len(cells), 4))


@app.command(help=_TYPE_HELP.format(_type_columns()))
def quantize(
    source: SourceFile,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The file to be written.")],
    type_name: Annotated[
        str, typer.Argument(metavar="TYPE", help="What the weights become; see above.")
    ],
    requantize: Annotated[
        bool,
        typer.Option("--requantize", help="Allow a file that is quantized already: losses add up."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a TARGET that exists.")] = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="How many threads (else one for each core).", show_default=False),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a .gguf file with weights of another type."""
    from autocog_llamacpp.gguf.quantize import quantize as write

    with progress("quantizing") as report:
        done = write(
            source,
            target,
            type_name,
            threads=threads,
            requantize=requantize,
            force=force,
            on_progress=report,
        )
    if as_json:
        show_json(done.to_dict())
        return
    if done.fallbacks:
        info(
            f"{done.fallbacks} of {done.tensors} tensors have rows that do not suit "
            f"{done.target.quantization}, and got larger types"
        )
    table = new_table()
    add_text(table, "")
    add_text(table, "file")
    add_text(table, "type")
    add_number(table, "size")
    add_number(table, "bits a weight")
    for label, one in (("from", done.source), ("to", done.target)):
        part = f" (part {one.part[0]} of {one.part[1]})" if one.part else ""
        table.add_row(
            label,
            escape_controls(one.path.name) + part,
            one.quantization or "-",
            _size(one.size),
            _bits(one.bits_per_weight),
        )
    show(table)


def _facts(info: GgufInfo) -> Iterator[tuple[str, str]]:
    yield "file", escape_controls(str(info.path))
    if info.part is not None:
        yield "part", f"{info.part[0]} of {info.part[1]}: what follows is of this part"
    yield "size", f"{_size(info.size)} ({info.size:,} bytes), GGUF version {info.version}"
    yield "model", _or_dash(info.name)
    yield "architecture", _or_dash(info.architecture)
    yield "parameters", f"{info.parameters:,}"
    bits = info.bits_per_weight
    yield (
        "quantization",
        _or_dash(info.quantization) + (f", {_bits(bits)} bits a weight" if bits else ""),
    )
    yield "context length", _count(info.context_length)
    yield "layers", _count(info.layers)
    yield "embedding width", _count(info.embedding_width)
    yield from _tokenizer_facts(info.tokenizer)
    template = info.chat_template
    yield "chat template", "none" if template is None else f"{len(template):,} characters"


def _tokenizer_facts(tokenizer: TokenizerInfo | None) -> Iterator[tuple[str, str]]:
    if tokenizer is None:
        yield "tokenizer", "none"
        return
    splitting = f" ({escape_controls(tokenizer.pre)})" if tokenizer.pre else ""
    tokens = f"{_count(tokenizer.vocabulary_size)} tokens"
    yield "tokenizer", f"{_or_dash(tokenizer.model)}{splitting}, {tokens}"
    added = {True: ", added", False: ", not added", None: ""}[tokenizer.adds_bos]
    yield "BOS", _token(tokenizer.bos, tokenizer.bos_text) + added
    yield "EOS", _token(tokenizer.eos, tokenizer.eos_text)


def _tensor_table(info: GgufInfo) -> Any:
    table = new_table()
    add_text(table, "type", "bold")
    add_number(table, "tensors")
    add_number(table, "parameters")
    add_number(table, "size")
    for kind in info.tensor_types:
        table.add_row(kind.type, str(kind.count), f"{kind.parameters:,}", _size(kind.size))
    return table


def _metadata(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in metadata.items():
        yield escape_controls(key), escape_controls(_value(value))


def _value(value: Any) -> str:
    from autocog_llamacpp.gguf.header import GgufArray

    if isinstance(value, GgufArray):
        if value.values is None:
            return f"{value.length:,} of {value.type}"
        return ", ".join(_value(one) for one in value.values)
    if isinstance(value, bool):
        return "true" if value else "false"
    # Most are float32: more digits would be those of their conversion.
    text = f"{value:.7g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ... ({len(text):,} characters)"


def _token(token: int | None, text: str | None) -> str:
    if token is None:
        return "-"
    return str(token) if text is None else f"{token} {text!r}"


def _or_dash(text: str | None) -> str:
    return escape_controls(text) if text else "-"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _bits(bits: float | None) -> str:
    return "-" if bits is None else f"{bits:.2f}"


def _size(size: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
