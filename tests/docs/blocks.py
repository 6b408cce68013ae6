"""The code blocks of a page in Markdown, and what stands beside each of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

#: `<!-- not run: REASON -->` or `<!-- part of FILE -->`, directly above a block.
_COMMENT = re.compile(r"<!-- (not run|part of):? (.+?) -->\s*\Z", re.DOTALL)
_TITLE = re.compile(r'\btitle="([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    :ivar where: page and line, for messages.
    :ivar language: the first word after the fence; "" if there is none.
    :ivar title: the file that it is, if it names one.
    :ivar text: what stands in it.
    :ivar not_run: why it cannot run; None if it can.
    :ivar follows: whether nothing stands between it and the block before.
    :ivar part_of: the file of this checkout that it shows a part of; None if it shows none.
    """

    where: str
    language: str
    title: str | None
    text: str
    not_run: str | None
    part_of: str | None
    follows: bool


def read_blocks(page: Path, name: str) -> list[Block]:
    """Return the blocks of a page, in order.

    :param page: a file in Markdown.
    :param name: what messages call it.
    """
    blocks = []
    above, kind_above = "", ""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            kind, note = comment.groups() if (comment := _COMMENT.search(above)) else ("", None)
            title = _TITLE.search(token.info)
            block = Block(
                where=f"{name}:{token.map[0] + 1 if token.map else 0}",
                language=token.info.partition(" ")[0].strip(),
                title=title[1] if title else None,
                text=token.content,
                not_run=note if kind == "not run" else None,
                part_of=note if kind == "part of" else None,
                follows=kind_above == "fence",
            )
            blocks.append(block)
        above = token.content if token.type == "html_block" else ""
        kind_above = token.type
    return blocks


@dataclass(frozen=True)
class ShownCommand:
    """A command of a `console` block.

    :ivar text: what stands after `$`, continued lines included.
    :ivar output: the lines beneath it, up to the next command.
    """

    text: str
    output: str


def read_commands(block: Block) -> list[ShownCommand]:
    """Return the commands of a `console` block, each with the output that it shows.

    :param block: a block with lines `$ command`, and the output beneath.
    """
    commands: list[tuple[list[str], list[str]]] = []
    continued = False
    for line in block.text.splitlines():
        if line.startswith("$ ") and not continued:
            commands.append(([line[2:]], []))
        elif not commands:
            raise AssertionError(f"{block.where}: no line with `$ command` before {line!r}")
        else:
            commands[-1][0 if continued else 1].append(line)
        # A line of a command that goes on in the next line.
        continued = line.endswith("\\") and not commands[-1][1]
    return [ShownCommand("\n".join(text), "\n".join(output)) for text, output in commands]
