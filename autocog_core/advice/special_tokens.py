"""Special tokens in texts, and the chat template that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.joints import Problem
from autocog_core.errors import shorten
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.prompt import Message, Prompt, TextPiece, join_text

#: What only the special tokens of chat models look like.
_MARK = re.compile(r"<\|[^|<>\s]{1,40}\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>")
#: Special tokens that begin a turn: a model that has one was trained on chats.
_TURN_MARKS = frozenset(
    {
        *("<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[INST]"),
        *("<|user|>", "<|assistant|>", "<|start_of_role|>", "<|start|>"),
    }
)
#: The roles of the usual chat templates.
CHAT_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def special_token_problems(prompt: Prompt, info: BackendInfo) -> Iterator[Problem]:
    """Yield special tokens that are no tokens in this prompt on this model.

    Untrusted text beside trusted text is data, whose special tokens must stay text.

    :param prompt: the prompt.
    :param info: the description of the model; without special tokens, it is not known.
    """
    texts = [piece for piece in prompt.pieces if isinstance(piece, TextPiece)]
    has_trusted = any(piece.trusted for piece in texts)
    for piece in texts:
        if piece.trusted == has_trusted and ("<" in piece.text or "[" in piece.text):
            yield from _piece_problems(piece, info)


def _piece_problems(piece: TextPiece, info: BackendInfo) -> Iterator[Problem]:
    tokens = [token.text for token in info.special_tokens if token.text.strip()]
    if not tokens:
        return
    if not piece.trusted and (token := next((t for t in tokens if t in piece.text), "")):
        yield (
            WarningCode.SPECIAL_TOKEN_AS_TEXT,
            f'"{token}" is plain text here: use messages, or mark the text as trusted (`special` '
            "in programs)",
        )
    marks = (match[0] for match in _MARK.finditer(piece.text))
    if unknown := next((mark for mark in marks if mark not in tokens), ""):
        names = ", ".join(sorted(_TURN_MARKS.intersection(tokens))) or tokens[0]
        yield (
            WarningCode.UNKNOWN_SPECIAL_TOKEN,
            f'"{unknown}" is no token of this model, which reads it as plain text; it has for '
            f"example {names}",
        )


def is_chat_model(info: BackendInfo, capabilities: Sequence[str]) -> bool:
    """Return whether a model has a chat template, and tokens that begin a turn."""
    return "chat_prompt" in capabilities and any(
        token.text in _TURN_MARKS for token in info.special_tokens
    )


def is_plain_question(prompt: Prompt) -> bool:
    """Return whether a prompt is plain text that ends in a question, without an answer begun."""
    pieces = prompt.pieces
    if not all(isinstance(piece, TextPiece) and not piece.trusted for piece in pieces):
        return False
    return join_text(pieces[-1:]).endswith("?")


def template_problem() -> Problem:
    """Return the problem of a question to a chat model without its template."""
    return (
        WarningCode.CHAT_TEMPLATE_UNUSED,
        "the prompt is a question, and this model expects questions in its chat template: give "
        '`messages` (--chat), or end the prompt with the beginning of an answer, such as "Answer:"',
    )


def role_problems(messages: Sequence[Message]) -> Iterator[Problem]:
    """Yield the first role that no usual chat template has."""
    roles = (message["role"] for message in messages)
    if unknown := next((role for role in roles if role not in CHAT_ROLES), None):
        yield (
            WarningCode.UNKNOWN_CHAT_ROLE,
            f"the role {shorten(repr(unknown))} is none of {', '.join(CHAT_ROLES)}: templates "
            "leave such a message out, or write it in a form that the model has never seen",
        )
