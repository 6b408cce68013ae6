"""Texts that follow each other on a path: they enter the tree, and wait for their tokens."""

from __future__ import annotations

from dataclasses import replace

from autocog_core.automaton.actions import Text
from autocog_core.evaluation.open_path import OpenPath
from autocog_core.evaluation.path_context import PendingText
from autocog_core.evaluation.run_limits import RunLimits
from autocog_core.evaluation.tree_builder import TreeBuilder
from autocog_core.records.action import RecordEnd
from autocog_core.records.record import DOCUMENT_REASON
from autocog_core.types.prompt import Prompt, TextPiece, join_text


def enter_texts(path: OpenPath, limits: RunLimits) -> None:
    """Add a chain of texts to the tree, and to the contexts of all models.

    A loop of texts needs no model: the chain itself may be longer than the budget allows.

    :param path: a path whose next action is a text.
    :param limits: the limits of the run; if one is reached, the path is pruned.
    """
    texts: list[PendingText] = []
    while (
        isinstance(path.action, Text)
        and not (texts and path.action.is_fresh)
        and not limits.is_reached(path)
    ):
        action = path.templates.fill(path.action, path.fields)
        assert isinstance(action, Text)
        path.count_node()
        text = join_text(text_pieces(action.text))
        node = path.builder.add_text(path.node, action, text, path.logprob, path.context_node)
        if isinstance(action, RecordEnd):
            _enter_record(path.builder, node, action)
        path.add_to_answer(text)
        path.fields = path.templates.after(path.fields, path.builder.nodes[node])
        texts.append(pending_text(action, node))
        path.enter_text_node(node)
    if limits.stopped_by is not None:
        path.builder.prune([path.node], "budget")
        return
    # The model of the next action determines the tokens of the texts, if it continues them.
    reader = path.reader
    path.builder.set_model((text.node for text in texts), reader)
    for_others = [replace(text, node=-1, evaluate=False) for text in texts]
    path.contexts = {
        name: context.with_texts(*(texts if name == reader else for_others))
        for name, context in path.contexts.items()
    }


def _enter_record(builder: TreeBuilder, end: int, action: RecordEnd) -> None:
    """Give the node of a record's end its value, and the nodes before it their places in it."""
    indices = builder.indices(end)
    nodes = builder.nodes
    record, first = action.decode([nodes[index] for index in indices])
    for entry in record.fields.values():
        for position in entry.nodes:
            index = indices[first + position]
            nodes[index] = replace(nodes[index], part=entry.path)
            for sibling in builder.siblings(index) if action.flat else ():
                nodes[sibling] = action.as_field(nodes[sibling])
    reason = DOCUMENT_REASON if action.record.is_document else ""
    nodes[end] = replace(
        nodes[end],
        value=record.value,
        prob=record.prob,
        kind="record",
        exact=not reason,
        reason=reason,
    )


def pending_text(action: Text, node: int) -> PendingText:
    """Return the text of an action, before its tokens are known.

    :param node: index of its node in the tree.
    """
    return PendingText(text_pieces(action.text), node, action.evaluate, action.constant_tail)


def text_pieces(text: object) -> tuple[TextPiece, ...]:
    """Return the pieces of a text action's text."""
    if isinstance(text, Prompt):
        return tuple(piece for piece in text.pieces if isinstance(piece, TextPiece))
    return (TextPiece(str(text)),)
