"""What a model's chat template writes before and after a message of the user."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from autocog_core.errors import CapabilityError
from autocog_core.model.model import Model
from autocog_core.server.decisions.template import QuestionText
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece

#: Models that think before they answer are asked not to; other templates ignore it.
_ARGUMENTS = {"enable_thinking": False}


@dataclass(frozen=True)
class ChatFrame:
    """What comes before and after a message of the user, up to the turn of the model.

    :ivar before: pieces before the message.
    :ivar after: pieces after it.
    :ivar special: texts of the model's special tokens.
    """

    before: tuple[TextPiece | TokenPiece, ...] = ()
    after: tuple[TextPiece | TokenPiece, ...] = ()
    special: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The texts before and after a message."""
        return [piece.text for piece in (*self.before, *self.after) if isinstance(piece, TextPiece)]

    @classmethod
    def of(cls, model: Model) -> Self | None:
        """Return the frame of a model; None if it has no chat template.

        :param model: the model.
        :raises AutocogError: if its template refuses a message of the user.
        """
        mark = f"\ue000{secrets.token_hex(16)}\ue001"
        messages = [{"role": "user", "content": mark}]
        # What the operator configured stays.
        arguments = {**_ARGUMENTS, **model.client.template_arguments}
        try:
            try:
                prompt = model.chat_prompt(messages, template_arguments=arguments)
            except CapabilityError:
                # Its template has no variables.
                prompt = model.chat_prompt(messages)
        except CapabilityError:
            return None
        pieces = list(prompt.pieces)
        for index, piece in enumerate(pieces):
            if isinstance(piece, TextPiece) and mark in piece.text:
                before, _, after = piece.text.partition(mark)
                return cls(
                    _with_text(pieces[:index], before, piece.trusted, at_end=True),
                    _with_text(pieces[index + 1 :], after, piece.trusted, at_end=False),
                    tuple(token.text for token in model.info.special_tokens),
                )
        return None

    def prompt(self, state: str, text: QuestionText) -> Prompt:
        """Return a chat in which the user asks a question, and the model begins to answer.

        The state and all before it are one piece, where that is possible: it is the same for all
        questions about the state.

        :param state: the state.
        :param text: the text of the question.
        """
        start = text.before_state + state
        question = TextPiece(text.question.rstrip())
        first: tuple[TextPiece | TokenPiece, ...] = (*self.before, TextPiece(start))
        match self.before:
            case (TextPiece(head, True),) if not self._adds_special(head, start):
                first = (TextPiece(head + start, trusted=True),)
        return Prompt((*first, question, *self.after, TextPiece(text.answer_start)))

    def _adds_special(self, head: str, text: str) -> bool:
        """Return whether a text, as trusted text after another one, would have special tokens."""
        return any((head + text).count(token) > head.count(token) for token in self.special)


def plain_prompt(state: str, text: QuestionText) -> Prompt:
    """Return a text in which a question is asked and the answer begins.

    :param state: the state.
    :param text: the text of the question.
    """
    start = text.before_state + state
    pieces = [TextPiece(start)] if start else []
    return Prompt((*pieces, TextPiece(text.question + text.answer_start)))


def _with_text(
    pieces: Sequence[TextPiece | TokenPiece], text: str, trusted: bool, *, at_end: bool
) -> tuple[TextPiece | TokenPiece, ...]:
    if not text:
        return tuple(pieces)
    added = TextPiece(text, trusted)
    return (*pieces, added) if at_end else (added, *pieces)
