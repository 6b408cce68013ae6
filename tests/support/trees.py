"""Thought trees without a model: wide, deep, and with texts that pages must not obey."""

from __future__ import annotations

import itertools
import math

from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree

HOSTILE = (
    "<script>document.title = 'taken'</script></script><!--",
    "<img src=x onerror=\"document.title='taken'\">",
    "&amp; \" ' `${1}` {{ 1 }}",
    "\x1b[31m\x00\x7f\x9b",
    "\u202eright\u2066\u200f\u2028",
    "\ud800 alone",
    "[red]rich[/red]",
)


#: Characters of them that must not reach a page.
UNSEEN = "\x1b\x00\x7f\x9b\u202e\u2066\u200f\u2028"


def text_node(text: str, parent: int = -1, uid: str = "say") -> ThoughtNode:
    """A fixed text."""
    return ThoughtNode(uid=uid, text=text, parent=parent, kind="text")


def choice_nodes(texts: list[str], parent: int, uid: str, kept: int = 1) -> list[ThoughtNode]:
    """Choices of falling probability, each of several tokens; those after `kept` are pruned."""
    total = sum(0.5**rank for rank in range(len(texts)))
    return [
        ThoughtNode(
            uid=uid,
            name=f"field {uid}",
            text=text,
            tokens=tuple(range(rank, rank + 3)),
            logprobs=(-0.05 * rank, -0.7, math.log(0.5) * (rank % 9)),
            path_logprob=-3.25 * (rank + 1),
            length=3,
            prob=0.5**rank / total,
            pruned_by=None if rank < kept else "width",
            parent=parent,
            kind="choice",
        )
        for rank, text in enumerate(texts)
    ]


def big_tree(size: int, choices: int = 25, kept: int = 3) -> ThoughtTree:
    """A tree of `size` nodes: texts, and choices of which some are followed."""
    nodes = [text_node("Once upon a time there was a tree with a great many branches.")]
    ends = [0]
    for level in itertools.count():
        next_ends = []
        for end in ends:
            texts = [f" the choice {rank} of level {level}" for rank in range(choices)]
            branches = choice_nodes(texts, end, f"choose-{level}", kept)
            for rank, branch in enumerate(branches):
                nodes.append(branch)
                if len(nodes) >= size:
                    return ThoughtTree(nodes=tuple(nodes))
                if rank < kept:
                    next_ends.append(len(nodes) - 1)
        ends = next_ends
    raise AssertionError


def chain_tree(size: int) -> ThoughtTree:
    """A tree of `size` texts, one after the other."""
    nodes = [text_node(f"step {index} ", index - 1, f"say-{index}") for index in range(size)]
    return ThoughtTree(nodes=tuple(nodes))


def hostile_tree() -> ThoughtTree:
    """A tree whose texts, names, values and reasons are markup and commands."""
    nodes = [text_node("".join(HOSTILE), uid=HOSTILE[0])]
    for text in HOSTILE:
        (node,) = choice_nodes([text], 0, text)
        node = ThoughtNode(
            **{
                **{name: getattr(node, name) for name in node.__slots__},
                "value": {"value": text},
                "exact": False,
                "reason": text,
                "model": text,
                "prob": 1 / len(HOSTILE),
                "pruned_by": "width" if len(nodes) > 1 else None,
            }
        )
        nodes.append(node)
    return ThoughtTree(
        nodes=tuple(nodes),
        stopped_by="tokens",
        provenance={"model": {"name": HOSTILE[1]}},
        token_bytes={text: {0: b"<b>", 1: b"\xf0\x9f", 2: b"\x98\x80\x1b"} for text in HOSTILE},
    )
