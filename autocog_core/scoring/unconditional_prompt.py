"""What the norm "pmi" conditions on in place of the prompt.

That is the `unconditional_prompt` of the request, or BOS alone. If the tokenizer adds no BOS, it is
the constant text directly before the choices (docs/semantics.md, "PMI").
"""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece, check_text, join_text


def encode_unconditional_prompt(
    client: BackendClient, request: ChoiceRequest, healed_text: str
) -> tuple[tuple[int, ...], str]:
    """Return the ids that the norm "pmi" conditions on, and their text; "" is BOS alone.

    :param client: the model's client.
    :param request: the prompt and the choices.
    :param healed_text: the end of the prompt that is scored with the choices. It is cut off the
        constant text, because the decided tokens spell it again.
    :raises InputError: naming `unconditional_prompt`, if the model adds no BOS and there is no
        constant text before the choices, or nothing else.
    """
    info = client.info
    bos = (info.bos,) if info.adds_bos and info.bos is not None else ()
    text = request.unconditional_prompt
    if text:
        check_text(text, "unconditional_prompt")
        return (*bos, *client.tokenize([text], at_start=True)[0]), text
    if bos:
        return bos, ""
    tail = request.constant_tail
    if tail is None:
        tail = _find_constant_tail(request.prompt)
    is_whole_prompt = _is_whole_prompt(request.prompt, tail)
    tail = cut_end(tail, healed_text)
    if not tail:
        raise _error(request, "and no constant text stands directly before the choices")
    if is_whole_prompt:
        raise _error(request, "and the whole prompt is constant text, which would give a pmi of 0")
    return tuple(encode_prompt(client, Prompt(tail))), join_text(tail)


def cut_end(pieces: Sequence[TextPiece], end: str) -> tuple[TextPiece, ...]:
    """Return the pieces without the characters of `end`, and without empty pieces."""
    # A token may begin inside a character, which is then U+FFFD in `end`.
    size = sum(len(piece.text) for piece in pieces) - len(end)
    kept = []
    for piece in pieces:
        text = piece.text[: max(0, size)]
        size -= len(piece.text)
        if text:
            kept.append(TextPiece(text, piece.trusted))
    return tuple(kept)


def _find_constant_tail(prompt: Prompt) -> tuple[TextPiece, ...]:
    """Return the last piece of a prompt of several pieces, unless it is data.

    Untrusted text after trusted text is data, such as a message in a chat template.
    """
    pieces = [piece for piece in prompt.pieces if isinstance(piece, TokenPiece) or piece.text]
    last = pieces[-1] if len(pieces) > 1 else None
    if not isinstance(last, TextPiece):
        return ()
    has_trusted = any(isinstance(piece, TextPiece) and piece.trusted for piece in pieces)
    return () if has_trusted and not last.trusted else (last,)


def _is_whole_prompt(prompt: Prompt, tail: Sequence[TextPiece]) -> bool:
    has_ids = any(isinstance(piece, TokenPiece) for piece in prompt.pieces)
    return not has_ids and join_text(prompt.pieces) == join_text(tail)


def _error(request: ChoiceRequest, reason: str) -> InputError:
    # The last line of a prompt is often the same in every call: "Answer:".
    first_lines, _, last_line = join_text(request.prompt.pieces).rpartition("\n")
    example = last_line if first_lines and last_line.strip() else "Answer:"
    return InputError(
        f"pmi compares with the choices after another prompt: this model adds no BOS, {reason}",
        where="unconditional_prompt",
        hint=f"give for example unconditional_prompt={example!r}",
    )
