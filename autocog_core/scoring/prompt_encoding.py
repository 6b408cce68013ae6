"""From prompts to token ids: BOS once, and special tokens only where the text is trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.errors import ContextOverflowError, InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.prompt import Prompt, TokenPiece, check_text


@dataclass(frozen=True, slots=True)
class SplitPrompt:
    """A prompt cut where tokens are settled.

    :ivar head: ids that nothing after them can change (BOS, token pieces, special tokens and the
        text before them).
    :ivar tail: the untrusted text after `head`, tokenized jointly with what follows it.
    :ivar at_start: whether `tail` begins the sequence (only BOS stands before it).
    :ivar after_ids: whether ids that the caller gave stand right before what follows.
    """

    head: tuple[int, ...]
    tail: str
    at_start: bool
    after_ids: bool


def prepare(client: BackendClient, prompt: Prompt) -> SplitPrompt:
    """Tokenize all of `prompt` but the text at its end.

    Neighbouring texts are tokenized jointly, whatever their trust: a trusted piece is first cut at
    its special tokens, which become ids, and what remains is ordinary text on both sides.

    :raises InputError: for text that is not valid Unicode, or ids outside the vocabulary.
    """
    info = client.info
    parts: list[str | list[int]] = []
    for number, piece in enumerate(prompt.pieces):
        if isinstance(piece, TokenPiece):
            _check_ids(piece.tokens, info.vocabulary_size, f"prompt piece {number}")
            parts.append(list(piece.tokens))
        elif piece.trusted:
            check_text(piece.text, "prompt")
            parts.extend(_cut_at_special(piece.text, info))
        else:
            check_text(piece.text, "prompt")
            parts.append(piece.text)

    head: list[int] = []
    bos = [info.bos]
    tail = ""
    for part in parts:
        if isinstance(part, str):
            tail += part
            continue
        if tail:
            head += client.tokenize([tail], at_start=head in ([], bos))[0]
            tail = ""
        head += part
    # Ids that the caller gave first stand for the whole beginning of the sequence, with BOS or
    # without it on purpose; text does not.
    pieces = [p for p in prompt.pieces if isinstance(p, TokenPiece) or p.text]
    given = bool(pieces) and isinstance(pieces[0], TokenPiece)
    at_start = head in ([], bos)
    if info.adds_bos and info.bos is not None and not given and head[:1] != bos:
        head.insert(0, info.bos)
    after_ids = bool(pieces) and isinstance(pieces[-1], TokenPiece)
    return SplitPrompt(tuple(head), tail, at_start, after_ids)


def encode(client: BackendClient, prompt: Prompt) -> list[int]:
    """All token ids of `prompt`, BOS included where the model has one.

    :raises InputError: for an empty sequence, invalid text or ids.
    :raises ContextOverflowError: if it is longer than the model's context.
    """
    prepared = prepare(client, prompt)
    tokens = list(prepared.head)
    if prepared.tail:
        tokens += client.tokenize([prepared.tail], at_start=prepared.at_start)[0]
    check_sequence(tokens, client.info)
    return tokens


def check_sequence(tokens: Sequence[int], info: BackendInfo, beyond: int = 0) -> None:
    """Refuse sequences that no engine could evaluate.

    :param beyond: tokens that are to follow `tokens`.
    :raises InputError: if there is nothing to condition on.
    :raises ContextOverflowError: if `tokens` and `beyond` do not fit the model's context.
    """
    if not tokens:
        raise InputError(
            "is empty, and no BOS is added: there is nothing to condition on",
            where="prompt",
            hint="give at least one character or token",
        )
    limit = info.context_length
    if limit is not None and len(tokens) + beyond > limit:
        what = f"{len(tokens)} tokens"
        if beyond:
            what += f" and {beyond} to follow"
        raise ContextOverflowError(
            f"{what} do not fit the context of {limit}",
            where="prompt",
            hint="shorten it",
        )


def _check_ids(tokens: Sequence[int], size: int, where: str) -> None:
    for token in tokens:
        if not 0 <= token < size:
            raise InputError(
                f"token {token} is outside the vocabulary",
                where=where,
                hint=f"ids are 0..{size - 1}",
            )


def _cut_at_special(text: str, info: BackendInfo) -> list[str | list[int]]:
    """Trusted text as ordinary text and the ids of its special tokens, in order."""
    if not info.special_tokens or not text:
        return [text]
    ids: dict[str, int] = {}
    alternatives: list[str] = []
    # Longest first, so that a token whose surface begins another's does not hide it.
    for token in sorted(info.special_tokens, key=lambda token: -len(token.text)):
        if not token.text or token.text in ids:
            continue
        ids[token.text] = token.id
        left = r"\s*" if token.strips_left else ""
        right = r"\s*" if token.strips_right else ""
        alternatives.append(f"{left}({re.escape(token.text)}){right}")
    parts: list[str | list[int]] = []
    end = 0
    for match in re.finditer("|".join(alternatives), text):
        surface = next(group for group in match.groups() if group is not None)
        parts += [text[end : match.start()], [ids[surface]]]
        end = match.end()
    return [*parts, text[end:]]
