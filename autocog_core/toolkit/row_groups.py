"""Which rows go into one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

BYTES_PER_LOGIT = 4

#: Nodes of a forest: those of a row, each after its parent.
Nodes = list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """The largest batch of an engine; see `RowBatches`."""

    vocabulary_size: int
    max_tokens: int
    max_logits_bytes: int
    padding: bool
    reads_all: bool

    def is_exceeded(self, tokens: int, reads: int) -> bool:
        """Return whether these are too many tokens, or logits after too many of them."""
        logits_bytes = reads * self.vocabulary_size * BYTES_PER_LOGIT
        return tokens > self.max_tokens or logits_bytes > self.max_logits_bytes


def group_rows(
    paths: Sequence[Nodes],
    prefix_length: int,
    limits: BatchLimits,
    count_reads: Callable[[Nodes], int],
) -> Iterator[list[Nodes]]:
    """Yield the rows of one batch after another, long ones first, so that little is padding.

    :param paths: the rows.
    :param prefix_length: number of tokens before each of them.
    :param count_reads: returns how many nodes of a row are still to be read.
    """
    group: list[Nodes] = []
    group_reads = 0
    for path in sorted(paths, key=len, reverse=True):
        reads = count_reads(path)
        if group:
            longest = len(group[0])
            rows = len(group) + 1
            all_reads = rows * longest if limits.reads_all else group_reads + reads
            if limits.is_exceeded(rows * (prefix_length + longest), all_reads) or (
                len(path) != longest and not limits.padding
            ):
                yield group
                group, group_reads = [], 0
                reads = count_reads(path)
        group.append(path)
        group_reads += reads
    if group:
        yield group


def group_into_trees(
    paths: Sequence[Nodes], limits: BatchLimits, count_reads: Callable[[Nodes], int]
) -> Iterator[Nodes]:
    """Yield one tree after another, made of paths that follow each other.

    What a tree shares with the next one is in both.
    """
    tree: dict[int, None] = {}
    reads = 0
    for path in paths:
        new = [node for node in path if node not in tree]
        new_reads = len(new) if limits.reads_all else count_reads(new)
        if tree and limits.is_exceeded(len(tree) + len(new), reads + new_reads):
            yield list(tree)
            tree, reads = {}, 0
            new = path
            new_reads = len(new) if limits.reads_all else count_reads(new)
        tree.update(dict.fromkeys(new))
        reads += new_reads
    if tree:
        yield list(tree)
