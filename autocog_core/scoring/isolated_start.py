"""Which first tokens of an isolated request are evaluated by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import split_prompt
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.prompt import Prompt, TokenPiece
from autocog_core.types.token_tree import common_prefix_length


def find_isolated_start(
    client: BackendClient, request: ChoiceRequest, shared_ids: Sequence[int]
) -> int | None:
    """Return `TreeQuery.isolated_start` of a request; None if it is not isolated.

    These are the tokens of the first piece of a prompt of several pieces, as far as the whole
    prompt begins with them: what follows may change the last of them.

    :param client: the model's client.
    :param request: the prompt and the choices.
    :param shared_ids: the ids that all choices follow.
    """
    if not request.isolate:
        return None
    pieces = [
        piece for piece in request.prompt.pieces if isinstance(piece, TokenPiece) or piece.text
    ]
    if len(pieces) < 2:
        return 0
    first = split_prompt(client, Prompt((pieces[0],)))
    ids = list(first.fixed_ids)
    if first.open_text:
        ids += client.tokenize([first.open_text], at_start=first.at_start)[0]
    # One token at least remains, after which the first distribution of the choices is read.
    return min(common_prefix_length(ids, list(shared_ids)), len(shared_ids) - 1)
