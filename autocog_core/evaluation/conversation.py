"""The conversation on a path: what the chat templates of its models made of its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from autocog_core.automaton.actions import Messages
from autocog_core.errors import CapabilityError, ConfigError
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.prompt import Message, Prompt, TextPiece, TokenPiece, join_text

Pieces = tuple[TextPiece | TokenPiece, ...]

_REWRITTEN = "the chat template renders the earlier turns differently now"
_NO_ANSWER = "the messages before have no answer"
_THOUGHTS = "thoughts are no part of earlier answers"
_OTHER_TOKENS = "the conversation so far has other tokens in the chat template"


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of a path, and the answer to them so far.

    :ivar messages: the messages, those of the assistant included.
    :ivar template_arguments: variables of the chat template.
    :ivar rendered: what each model's template made of the messages, by the model's name.
    :ivar answer: the text since then, without thoughts; None if there is none.
    :ivar has_thoughts: whether the model thought since then.
    """

    messages: tuple[Message, ...] = ()
    template_arguments: Mapping[str, Any] | None = None
    rendered: Mapping[str | None, Pieces] = field(default_factory=dict)
    answer: str | None = None
    has_thoughts: bool = False

    def with_text(self, text: str) -> Conversation:
        """Return the conversation with more text of the answer."""
        return replace(self, answer=(self.answer or "") + text)

    def with_messages(self, action: Messages) -> Conversation:
        """Return the conversation with the answer as a message, and the messages of an action."""
        answers: list[Message] = []
        if self.answer is not None:
            answers.append({"role": "assistant", "content": self.answer})
        arguments = action.template_arguments
        return Conversation(
            messages=(
                *self.messages,
                *answers,
                *(message.to_message() for message in action.messages),
            ),
            template_arguments=self.template_arguments if arguments is None else arguments,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What new messages add to a path, for one model.

    :ivar context: what the model sees before the answer, without the new text.
    :ivar pieces: the new text; the whole conversation, if `reason` is not empty.
    :ivar rendered: the whole conversation.
    :ivar tokens: the tokens of the new text, if the template gives tokens.
    :ivar reason: why the context begins again with the whole conversation; empty if it goes on.
    :ivar shown: the new text for the tree.
    :ivar is_rendered_by_server: whether the server applies the chat template, so that neither text
        nor tokens are known.
    """

    context: PathContext
    pieces: Pieces
    rendered: Pieces
    reason: str
    shown: str
    tokens: tuple[int, ...] = ()
    is_rendered_by_server: bool = False

    def context_with(self, node: int) -> PathContext:
        """Return what the model sees before the answer.

        :param node: index of the messages' node in the tree; -1 if it gets no tokens here.
        """
        node = -1 if self.is_rendered_by_server else node
        if self.tokens:
            return replace(self.context, node=node)
        texts = tuple(piece for piece in self.pieces if isinstance(piece, TextPiece))
        return self.context.with_texts(
            PendingText(texts, node, constant_tail=_constant_tail(texts))
        )


def render_turn(
    client: BackendClient,
    conversation: Conversation,
    before: Conversation | None,
    context: PathContext,
    model: str | None,
) -> Turn:
    """Render a conversation with a model's chat template.

    :param client: the model's client.
    :param conversation: all messages.
    :param before: the conversation before its last messages; None for the first ones.
    :param context: what the model has seen of the path.
    :param model: the model's name.
    :raises CapabilityError: if the model has no chat template.
    """
    prompt = client.chat_prompt(conversation.messages, True, conversation.template_arguments)
    start = PathContext(text=None if context.text is None else ())
    if any(isinstance(piece, TokenPiece) for piece in prompt.pieces):
        return _turn_of_ids(client, prompt, before, context, start)
    pieces = tuple(piece for piece in prompt.pieces if isinstance(piece, TextPiece))
    if _is_rendered_by_server(pieces):
        added = len(conversation.messages) - (0 if before is None else len(before.messages))
        shown = "".join(f"{m['role']}: {m['content']}\n" for m in conversation.messages[-added:])
        return Turn(
            context=start,
            pieces=pieces,
            rendered=pieces,
            reason="",
            shown=shown,
            is_rendered_by_server=True,
        )
    text = join_text(pieces)
    reason = ""
    if before is not None:
        so_far = join_text(before.rendered.get(model, ())) + (before.answer or "")
        if before.has_thoughts:
            reason = _THOUGHTS
        elif context.is_empty or not text.startswith(so_far):
            reason = _rewritten(before)
        else:
            added_pieces = _without_characters(pieces, len(so_far))
            if _has_tokens_of(client, context.with_texts(PendingText(added_pieces)), prompt):
                return Turn(
                    context=context,
                    pieces=added_pieces,
                    rendered=pieces,
                    reason="",
                    shown=join_text(added_pieces),
                )
            reason = _OTHER_TOKENS
    return Turn(context=start, pieces=pieces, rendered=pieces, reason=reason, shown=text)


def _turn_of_ids(
    client: BackendClient,
    prompt: Prompt,
    before: Conversation | None,
    context: PathContext,
    start: PathContext,
) -> Turn:
    """Return the turn of a template that gives token ids."""
    ids = tuple(encode_prompt(client, prompt))
    so_far = tuple(encode_prompt(client, context.prompt())) if not context.is_empty else ()
    goes_on = before is None or (bool(so_far) and ids[: len(so_far)] == so_far)
    added = ids[len(so_far) :] if goes_on else ids
    return Turn(
        context=replace(start, ids=ids, text=None if start.text is None else prompt.pieces),
        pieces=(),
        tokens=added,
        rendered=prompt.pieces,
        reason="" if goes_on or before is None else _rewritten(before),
        shown=client.detokenize(added).decode("utf-8", errors="replace"),
    )


def _rewritten(before: Conversation) -> str:
    """Return why the text so far is not the beginning of the rendered conversation."""
    return _NO_ANSWER if before.answer is None else _REWRITTEN


def _has_tokens_of(client: BackendClient, context: PathContext, prompt: Prompt) -> bool:
    """Return whether a context has the tokens of a prompt; true if the backend has no tokenizer."""
    try:
        return encode_prompt(client, context.prompt()) == encode_prompt(client, prompt)
    except (CapabilityError, ConfigError):
        return True


def _is_rendered_by_server(pieces: tuple[TextPiece, ...]) -> bool:
    """Return whether a prompt only marks the messages: the template is the server's."""
    return any(piece.trusted and "\ue000" <= piece.text[:1] <= "\uf8ff" for piece in pieces)


def _without_characters(pieces: tuple[TextPiece, ...], count: int) -> tuple[TextPiece, ...]:
    """Return pieces without their first characters."""
    remaining = []
    for piece in pieces:
        if len(piece.text) > count:
            remaining.append(TextPiece(piece.text[count:], piece.trusted))
        count = max(0, count - len(piece.text))
    return tuple(remaining)


def _constant_tail(pieces: tuple[TextPiece, ...]) -> str:
    """Return the template's own text after the last content."""
    tail = ""
    for piece in reversed(pieces):
        if not piece.trusted:
            break
        tail = piece.text + tail
    return tail
