"""Where a prompt meets its choices: which tokens they share, and which each choice decides.

tokenize(a + b) often differs from tokenize(a) + tokenize(b). So a choice is never tokenized alone,
but together with the text before it (docs/semantics.md, "Where the prompt meets a choice").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.joint_tokenization import JointTokenizer
from autocog_core.scoring.prompt_encoding import (
    SplitPrompt,
    check_sequence,
    find_boundary,
    split_prompt,
)
from autocog_core.types.choice import NORMS, Boundary, ChoiceRequest, EndOfSequence
from autocog_core.types.prompt import check_text


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedChoices:
    """The token ids of a request's choices.

    :ivar shared_ids: the base: ids before the first decided token, equal for all choices.
    :ivar choice_ids: the decided ids of each choice, at least one.
    :ivar boundary: "clean", "healed" or "token_ids"; see `ChoiceScores`.
    :ivar healed_text: the end of the prompt that was tokenized again with the choices.
    """

    shared_ids: tuple[int, ...]
    choice_ids: tuple[tuple[int, ...], ...]
    boundary: Boundary
    healed_text: str


def encode_choices(
    client: BackendClient,
    request: ChoiceRequest,
    *,
    full: bool = False,
    owners: Sequence[int] | None = None,
) -> EncodedChoices:
    """Tokenize the choices of a request, each together with the text before it.

    :param client: the model's client.
    :param request: the prompt and the choices.
    :param full: tokenize the whole text with every choice, not only its end. Slower, with the same
        result; tests use it as the reference.
    :param owners: for texts of choices with several texts, the index of each text's choice. Texts
        of one choice may have equal tokens.
    :raises InputError: for no, empty or equal choices; for an empty sequence; for a boundary that
        `boundary="strict"` forbids.
    :raises ContextOverflowError: if the longest choice does not fit the context.
    """
    check_choices(request)
    suffix = request.suffix if isinstance(request.suffix, str) else ""
    prompt = split_prompt(client, request.prompt)
    ends = tuple([c + suffix for c in request.choices]) if suffix else request.choices
    joint = JointTokenizer.for_model(client).tokenize(
        prompt.open_text,
        (*ends, suffix) if suffix else ends,
        at_start=prompt.at_start,
        has_suffix=bool(suffix),
        full=full,
    )
    decided = joint.decided
    if decided.drops_suffix:
        raise InputError(
            f"{suffix!r} has no token after this prompt",
            where="suffix",
            hint="the model's tokenizer drops such text: give another suffix",
        )
    if decided.dropped is not None:
        raise InputError(
            f"{request.choices[decided.dropped]!r} has no token of its own after this prompt",
            where=f"choice {_choice_index(decided.dropped, owners)}",
            hint="the model's tokenizer drops such text: remove the choice",
        )
    shared_ids = (*prompt.fixed_ids, *joint.ids_before, *joint.text_ids[: joint.shared])
    changed_ids = joint.text_ids[joint.shared :]
    boundary, healed_text = find_boundary(
        client, prompt, shared_ids, changed_ids, what="the choices change", where="prompt"
    )
    choice_ids = decided.choice_ids
    if request.boundary == "strict":
        _check_strict(client, prompt, request.choices, boundary, healed_text)
    if not decided.are_distinct:
        _check_distinct(choice_ids, request.choices, owners)
    check_sequence(shared_ids, client.info, new_tokens=decided.longest)
    return EncodedChoices(
        shared_ids=shared_ids,
        choice_ids=choice_ids,
        boundary=boundary,
        healed_text=healed_text,
    )


def check_choices(request: ChoiceRequest) -> None:
    """Check the choices, the suffix and the norm of a request.

    :raises InputError: for no, empty or equal choices; for texts that are not valid Unicode; for an
        unknown norm.
    """
    if request.norm not in NORMS:
        raise InputError(
            f"unknown norm {request.norm!r}", where="norm", hint="one of " + ", ".join(NORMS)
        )
    if not request.choices:
        raise InputError("there are none", where="choices", hint="give at least one")
    if not _are_good_texts(request.choices):
        _find_bad_text(request.choices)
    if isinstance(request.suffix, str):
        check_text(request.suffix, "suffix")
    elif request.suffix is not None and not isinstance(request.suffix, EndOfSequence):
        raise InputError(
            f"got {type(request.suffix).__name__}", where="suffix", hint="give text or EOS"
        )


def _are_good_texts(choices: Sequence[object]) -> bool:
    """Return whether choices are different texts that UTF-8 can encode, without naming the bad."""
    # Functions in C over all of them: thousands of choices take a millisecond.
    if set(map(type, choices)) != {str} or not all(choices) or len(set(choices)) < len(choices):
        return False
    try:
        "".join(choices).encode("utf-8")  # type: ignore[arg-type]
    except UnicodeEncodeError:
        return False
    return True


def _find_bad_text(choices: Sequence[str]) -> None:
    """Check one choice after the other.

    :raises InputError: naming the first that is wrong.
    """
    seen: dict[str, int] = {}
    for index, choice in enumerate(choices):
        where = f"choice {index}"
        check_choice_text(choice, where)
        first = seen.setdefault(choice, index)
        if first != index:
            raise InputError(
                f"{choice!r} was given before, as choice {first}",
                where=where,
                hint="remove one of them",
            )


def check_choice_text(text: object, where: str) -> None:
    """Check one text of a choice.

    :raises InputError: for anything but text, or an empty or invalid one.
    """
    if not isinstance(text, str):
        raise InputError(f"got {type(text).__name__}", where=where, hint="give a string")
    if not text:
        raise InputError("is empty", where=where, hint="every choice needs some text")
    check_text(text, where)


def _choice_index(text: int, owners: Sequence[int] | None) -> int:
    """Return the index of the choice that a text belongs to."""
    return text if owners is None else owners[text]


def _check_distinct(
    choice_ids: Sequence[tuple[int, ...]], choices: Sequence[str], owners: Sequence[int] | None
) -> None:
    seen: dict[tuple[int, ...], int] = {}
    for index, ids in enumerate(choice_ids):
        first = seen.setdefault(ids, index)
        owner, other = _choice_index(first, owners), _choice_index(index, owners)
        if owner != other:
            raise InputError(
                f"{choices[first]!r} and {choices[index]!r} have the same tokens in this model",
                where=f"choices {owner} and {other}",
                hint="its tokenizer normalizes text; remove one of them",
            )


def _check_strict(
    client: BackendClient,
    prompt: SplitPrompt,
    choices: Sequence[str],
    boundary: Boundary,
    healed_text: str,
) -> None:
    """Reject a choice that would change the tokens of the prompt, whether text or ids."""
    if boundary == "healed":
        raise InputError(
            f"joint tokenization changes the tokens of {healed_text!r} at the end of the prompt",
            where="boundary",
            hint='move that text into the choices, or use boundary="heal"',
        )
    if boundary != "token_ids":
        return
    # Only the ids after the last special token matter: no text merges with a special token.
    info = client.info
    special = {info.bos, *info.eos, *(token.id for token in info.special_tokens)}
    fixed_ids = list(prompt.fixed_ids)
    start = next((i for i in range(len(fixed_ids), 0, -1) if fixed_ids[i - 1] in special), 0)
    ids = fixed_ids[start:]
    text = client.detokenize(ids).decode("utf-8", errors="replace")
    at_start = fixed_ids[:start] in ([], [info.bos])
    joint = client.tokenize([text + choice for choice in choices], at_start=at_start)
    for choice, tokens in zip(choices, joint, strict=True):
        if tokens[: len(ids)] != ids:
            raise InputError(
                f"the tokenizer would not begin {(text + choice)[-40:]!r} with the given tokens",
                where="boundary",
                hint='give the prompt as text, or use boundary="heal"',
            )
