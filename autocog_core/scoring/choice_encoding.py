"""Where fixed text meets a choice: which tokens are shared, and which the choice decides.

tokenize(a + b) is in general not tokenize(a) + tokenize(b), so a choice is never encoded alone:
the fixed text is tokenized jointly with each choice (docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.joint_tokenization import JointTokenizer
from autocog_core.scoring.prompt_encoding import SplitPrompt, check_sequence, prepare
from autocog_core.types.choice import Boundary, ChoiceRequest, EndOfSequence
from autocog_core.types.prompt import check_text
from autocog_core.types.token_tree import common_prefix_length


@dataclass(frozen=True, slots=True)
class EncodedChoices:
    """The choices of one request as tokens.

    :ivar base: the ids that all choices share and that none of them decides.
    :ivar decided: for each choice the ids after `base`, at least one.
    :ivar healed_text: the end of the fixed text that the choices re-spell.
    """

    base: tuple[int, ...]
    decided: tuple[tuple[int, ...], ...]
    boundary: Boundary
    healed_text: str


def encode_choices(
    client: BackendClient, request: ChoiceRequest, *, whole: bool = False
) -> EncodedChoices:
    """Tokenize the choices of `request` jointly with the fixed text before them.

    :param whole: tokenize the whole fixed text with every choice, instead of its end only: the
        slow and obvious way, which the fast one must equal.
    :raises InputError: for no, empty or equal choices; an empty sequence; a boundary that
        `boundary="strict"` forbids.
    :raises ContextOverflowError: if the longest choice does not fit the context.
    """
    _check_choices(request)
    end = request.suffix if isinstance(request.suffix, str) else ""
    prepared = prepare(client, request.prompt)
    settled, fixed, continuations = JointTokenizer.of_model(client).of(
        prepared.tail,
        [choice + end for choice in request.choices],
        at_start=prepared.at_start,
        whole=whole,
    )
    shared = len(fixed)
    for tokens in continuations:
        shared = common_prefix_length(fixed[:shared], tokens)
    # Every choice keeps at least one decided token, also where the fixed text and the choice
    # together are spelled with the tokens of the fixed text alone.
    shared = min(shared, min(len(tokens) for tokens in continuations) - 1)
    if shared < 0:
        raise InputError(
            "a choice has no token left after the tokenizer's normalisation", where="choices"
        )
    base = (*prepared.head, *settled, *fixed[:shared])
    if not base and prepared.tail:
        raise InputError(
            f"all of {prepared.tail!r} is re-spelled together with the choices, and no BOS is "
            "added: there is nothing to condition on",
            where="prompt",
            hint="give a longer prompt, or its token ids",
        )
    decided = tuple(tokens[shared:] for tokens in continuations)
    healed_text = ""
    boundary: Boundary = "token_ids" if prepared.after_ids else "clean"
    if shared < len(fixed):
        boundary = "healed"
        healed_text = client.detokenize(fixed[shared:]).decode("utf-8", errors="replace")
    if request.boundary == "strict":
        _check_strict(client, prepared, request.choices, boundary, healed_text)
    _check_distinct(decided, request.choices)
    check_sequence(base, client.info, beyond=max(len(tokens) for tokens in decided))
    return EncodedChoices(base, decided, boundary, healed_text)


def _check_choices(request: ChoiceRequest) -> None:
    if not request.choices:
        raise InputError("there are none", where="choices", hint="give at least one")
    seen: dict[str, int] = {}
    for number, choice in enumerate(request.choices):
        where = f"choice {number}"
        if not isinstance(choice, str):
            raise InputError(f"got {type(choice).__name__}", where=where, hint="give a string")
        if not choice:
            raise InputError("is empty", where=where, hint="every choice needs some text")
        check_text(choice, where)
        if choice in seen:
            raise InputError(
                f"{choice!r} was given before, as choice {seen[choice]}",
                where=where,
                hint="remove one of them",
            )
        seen[choice] = number
    if isinstance(request.suffix, str):
        check_text(request.suffix, "suffix")
    elif request.suffix is not None and not isinstance(request.suffix, EndOfSequence):
        raise InputError(
            f"got {type(request.suffix).__name__}", where="suffix", hint="give text or EOS"
        )


def _check_distinct(decided: Sequence[tuple[int, ...]], choices: Sequence[str]) -> None:
    seen: dict[tuple[int, ...], int] = {}
    for number, tokens in enumerate(decided):
        first = seen.setdefault(tokens, number)
        if first != number:
            raise InputError(
                f"{choices[first]!r} and {choices[number]!r} are the same tokens for this model",
                where=f"choices {first} and {number}",
                hint="its tokenizer normalises text; remove one of them",
            )


def _check_strict(
    client: BackendClient,
    prepared: SplitPrompt,
    choices: Sequence[str],
    boundary: Boundary,
    healed_text: str,
) -> None:
    if boundary == "healed":
        raise InputError(
            f"joint tokenization re-spells {healed_text!r} at the end of the prompt",
            where="boundary",
            hint='move that text into the choices, or use boundary="heal"',
        )
    if boundary != "token_ids":
        return
    # From the last special token on: no text spells that, and nothing merges with it.
    info = client.info
    special = {info.bos, *info.eos, *(token.id for token in info.special_tokens)}
    head = list(prepared.head)
    start = next((i for i in range(len(head), 0, -1) if head[i - 1] in special), 0)
    ids = head[start:]
    text = client.detokenize(ids).decode("utf-8", errors="replace")
    at_start = head[:start] in ([], [info.bos])
    joint = client.tokenize([text + choice for choice in choices], at_start=at_start)
    for choice, tokens in zip(choices, joint, strict=True):
        if tokens[: len(ids)] != ids:
            raise InputError(
                f"the tokenizer would not begin {(text + choice)[-40:]!r} with the given tokens",
                where="boundary",
                hint='give the prompt as text, or use boundary="heal"',
            )
