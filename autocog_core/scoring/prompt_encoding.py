"""Prompts as token ids: BOS once, and special tokens only from trusted text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.errors import ContextOverflowError, InputError, shorten
from autocog_core.hooks.client import BackendClient
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import Boundary
from autocog_core.types.prompt import Prompt, TokenPiece, check_text


class _SpecialIds(list[int]):
    """Ids of special tokens that were parsed in a text; other ids were given as ids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitPrompt:
    """A prompt, split into ids and the text at its end.

    :ivar fixed_ids: ids that do not depend on what follows: BOS, token pieces, special tokens, and
        the text before the last of them.
    :ivar open_text: the remaining text, which is tokenized together with what follows.
    :ivar at_start: whether `open_text` is tokenized as the beginning of a sequence: after BOS at
        most, or after a special token if the tokenizer begins again there.
    :ivar ends_with_ids: whether the last piece of the prompt is a token piece.
    """

    fixed_ids: tuple[int, ...]
    open_text: str
    at_start: bool
    ends_with_ids: bool


def split_prompt(client: BackendClient, prompt: Prompt) -> SplitPrompt:
    """Tokenize a prompt except for the text at its end.

    Trusted pieces are split at their special tokens. Adjacent texts between ids are tokenized
    together, trusted or not.

    :param client: the model's client.
    :param prompt: the prompt.
    :raises InputError: for text that is not valid Unicode, or ids outside the vocabulary.
    """
    info = client.info
    parts: list[str | list[int]] = []
    for index, piece in enumerate(prompt.pieces):
        if isinstance(piece, TokenPiece):
            _check_ids(piece.tokens, info.vocabulary_size, f"prompt piece {index}")
            parts.append(list(piece.tokens))
        elif piece.trusted:
            check_text(piece.text, "prompt")
            parts.extend(_split_at_special_tokens(piece.text, info))
        else:
            check_text(piece.text, "prompt")
            parts.append(piece.text)

    fixed_ids: list[int] = []
    bos = [info.bos]
    open_text = ""
    at_start = True
    for part in parts:
        if isinstance(part, str):
            open_text += part
            continue
        if open_text:
            fixed_ids += client.tokenize([open_text], at_start=at_start)[0]
            open_text = ""
        fixed_ids += part
        at_start = fixed_ids in ([], bos)
        if isinstance(part, _SpecialIds) and info.restarts_after_special_tokens is not None:
            at_start = info.restarts_after_special_tokens
    pieces = [p for p in prompt.pieces if isinstance(p, TokenPiece) or p.text]
    # A prompt that begins with ids gets no BOS: the caller decides how the sequence begins.
    begins_with_ids = bool(pieces) and isinstance(pieces[0], TokenPiece)
    if info.adds_bos and info.bos is not None and not begins_with_ids and fixed_ids[:1] != bos:
        fixed_ids.insert(0, info.bos)
    return SplitPrompt(
        fixed_ids=tuple(fixed_ids),
        open_text=open_text,
        at_start=at_start,
        ends_with_ids=bool(pieces) and isinstance(pieces[-1], TokenPiece),
    )


def encode_prompt(client: BackendClient, prompt: Prompt) -> list[int]:
    """Return all token ids of a prompt, with BOS if the model adds it.

    :param client: the model's client.
    :param prompt: the prompt.
    :raises InputError: for an empty sequence, and for invalid text or ids.
    :raises ContextOverflowError: if the prompt is longer than the model's context.
    """
    split = split_prompt(client, prompt)
    tokens = list(split.fixed_ids)
    if split.open_text:
        tokens += client.tokenize([split.open_text], at_start=split.at_start)[0]
    check_sequence(tokens, client.info)
    return tokens


def find_boundary(
    client: BackendClient,
    prompt: SplitPrompt,
    shared_ids: Sequence[int],
    changed_ids: Sequence[int],
    *,
    what: str,
    where: str,
) -> tuple[Boundary, str]:
    """Return what happens at the end of a prompt, and the end that is tokenized again.

    :param client: the model's client.
    :param prompt: the prompt.
    :param shared_ids: the ids that it has alone, and together with what follows.
    :param changed_ids: the ids after these that it has only alone.
    :param what: what follows, with a verb, for the message: "the choices change".
    :param where: what the prompt is called, for the message.
    :returns: `boundary` and `healed_text` of `ChoiceScores`.
    :raises InputError: if nothing is left to condition on.
    """
    if not shared_ids and prompt.open_text:
        raise InputError(
            f"{what} all tokens of {shorten(repr(prompt.open_text))}, and no BOS is added: there "
            "is nothing to condition on",
            where=where,
            hint=f"give a longer {where}, or its token ids",
        )
    if not changed_ids:
        return "token_ids" if prompt.ends_with_ids else "clean", ""
    return "healed", client.detokenize(changed_ids).decode("utf-8", errors="replace")


def check_sequence(tokens: Sequence[int], info: BackendInfo, new_tokens: int = 0) -> None:
    """Reject a sequence that the model cannot evaluate.

    :param tokens: the sequence.
    :param info: the description of the model.
    :param new_tokens: number of tokens that will follow `tokens`.
    :raises InputError: if the sequence is empty.
    :raises ContextOverflowError: if all tokens together do not fit the model's context.
    """
    if not tokens:
        raise InputError(
            "is empty, and no BOS is added: there is nothing to condition on",
            where="prompt",
            hint="give at least one character or token",
        )
    limit = info.context_length
    if limit is not None and len(tokens) + new_tokens > limit:
        amount = f"{len(tokens)} tokens"
        if new_tokens:
            amount += f" and {new_tokens} to follow"
        raise ContextOverflowError(
            f"{amount} do not fit the context of {limit}",
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


def _split_at_special_tokens(text: str, info: BackendInfo) -> list[str | list[int]]:
    """Split trusted text into ordinary text and the ids of its special tokens, in order."""
    if not info.special_tokens or not text:
        return [text]
    ids: dict[str, int] = {}
    alternatives: list[str] = []
    # Longest first, so that no token hides a longer one that begins with its text.
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
        token_text = next(group for group in match.groups() if group is not None)
        token_id = ids[token_text]
        if not 0 <= token_id < info.vocabulary_size:
            raise InputError(
                f"the special token {token_text!r} has the id {token_id}, and the model ends at "
                f"{info.vocabulary_size - 1}",
                where="prompt",
                hint="load the tokenizer that belongs to the model, or resize its embeddings",
            )
        parts += [text[end : match.start()], _SpecialIds([token_id])]
        end = match.end()
    return [*parts, text[end:]]
