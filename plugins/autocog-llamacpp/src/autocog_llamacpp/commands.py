"""`autocog gguf`: shows and quantizes .gguf files.

Each command imports its modules when it runs.
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

#: Longer values of the metadata are shortened; --json has them in full.
_MAX_VALUE_LENGTH = 2000


@app.callback()
def gguf(context: typer.Context) -> None:
    """Show and quantize .gguf files."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


SourceFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A .gguf file, or package:PKG/FILE.")
]


@app.command("info")
def show_info(
    file: SourceFile,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Show all metadata, including the text of the chat template."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the model, quantization and tokenizer of a .gguf file.

    The command reads only the header of the file.
    """
    from autocog_llamacpp.gguf.info import read_gguf_info

    gguf_info = read_gguf_info(file)
    if as_json:
        show_json(gguf_info.to_dict(metadata=everything))
        return
    show(facts_table(_facts(gguf_info)))
    if gguf_info.tensor_types:
        show("", _tensor_table(gguf_info))
    if everything:
        show("", facts_table(_metadata(gguf_info.metadata)))


_TYPE_HELP = """Write a .gguf file with weights of another type.

TYPE is one of these types, here with the approximate bits per weight. Most types are mixtures.

\b
{}

The target appears when it is complete. Tensors whose rows do not fit the type get a larger type."""


def _type_columns() -> str:
    cells = [f"{name:<10}{bits:>5.1f}" for name, bits in TYPES.items()]
    return "\n".join("    ".join(cells[i : i + 4]) for i in range(0, len(cells), 4))


@app.command(help=_TYPE_HELP.format(_type_columns()))
def quantize(
    source: SourceFile,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The file to write.")],
    type_name: Annotated[
        str, typer.Argument(metavar="TYPE", help="The new type of the weights; see above.")
    ],
    requantize: Annotated[
        bool,
        typer.Option("--requantize", help="Accept a quantized file. The losses add up."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing TARGET.")] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of threads (default: one for each core).", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a .gguf file with weights of another type."""
    from autocog_llamacpp.gguf.quantize import quantize as quantize_file

    with progress("quantizing") as report:
        result = quantize_file(
            source,
            target,
            type_name,
            threads=threads,
            requantize=requantize,
            force=force,
            on_progress=report,
        )
    if as_json:
        show_json(result.to_dict())
        return
    if result.fallbacks:
        info(
            f"{result.fallbacks} of {result.tensors} tensors have rows that do not fit "
            f"{result.target.quantization}, and got larger types"
        )
    table = new_table()
    add_text(table, "")
    add_text(table, "file")
    add_text(table, "type")
    add_number(table, "size")
    add_number(table, "bits a weight")
    for label, file in (("from", result.source), ("to", result.target)):
        part = f" (part {file.part[0]} of {file.part[1]})" if file.part else ""
        table.add_row(
            label,
            file.path.name + part,
            file.quantization or "-",
            _size(file.size),
            _bits(file.bits_per_weight),
        )
    show(table)


def _facts(info: GgufInfo) -> Iterator[tuple[str, str]]:
    yield "file", str(info.path)
    if info.part is not None:
        yield "part", f"{info.part[0]} of {info.part[1]}: the facts below describe this part"
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
    splitting = f" ({tokenizer.pre})" if tokenizer.pre else ""
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
        yield key, _value(value)


def _value(value: Any) -> str:
    from autocog_llamacpp.gguf.header import GgufArray

    if isinstance(value, GgufArray):
        if value.values is None:
            return f"{value.length:,} of {value.type}"
        return ", ".join(_value(element) for element in value.values)
    if isinstance(value, bool):
        return "true" if value else "false"
    # Most values are float32, which has 7 significant digits.
    text = f"{value:.7g}" if isinstance(value, float) else str(value)
    if len(text) <= _MAX_VALUE_LENGTH:
        return text
    return f"{text[:_MAX_VALUE_LENGTH]} ... ({len(text):,} characters)"


def _token(token: int | None, text: str | None) -> str:
    if token is None:
        return "-"
    return str(token) if text is None else f"{token} {text!r}"


def _or_dash(text: str | None) -> str:
    return text or "-"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _bits(bits: float | None) -> str:
    return "-" if bits is None else f"{bits:.2f}"


def _size(size: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
