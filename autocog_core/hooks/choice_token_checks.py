"""Checks of the tokens of exact scores: they are the choices', and the numbers follow from them.

They need the tokenizer, and take about a microsecond for each token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from autocog_core.errors import ContractError
from autocog_core.hooks.answer_checks import require
from autocog_core.hooks.result_checks import require_close
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.choice_logprobs import ChoiceLogprobs
from autocog_core.types.top_choices import TopChoices

#: Returns the bytes of one token.
TokenBytes = Callable[[int], bytes]


def check_choice_tokens(
    answer: ChoiceScores | TopChoices,
    request: ChoiceRequest,
    eos: Sequence[int],
    token_bytes: TokenBytes | None,
    respell: Callable[[str], bytes],
) -> None:
    """Check that exact scores have the tokens of the choices and of the request's suffix.

    :param eos: the ids that end a sequence.
    :param token_bytes: None if the backend has no tokenizer here.
    :param respell: returns what the tokenizer makes of a text: some change it.
    """
    scores = _scores_of(answer)
    ends_with_eos = request.suffix is not None and not isinstance(request.suffix, str)
    if ends_with_eos:
        for score in scores:
            require(
                score.tokens[-1] in eos,
                f"the tokens of {score.choice!r} do not end with the suffix",
            )
    if isinstance(answer, ChoiceScores):
        _check_prefix_choices(answer)
    if token_bytes is None:
        return
    # EOS has no text.
    texts = [
        b"".join(map(token_bytes, score.tokens[:-1] if ends_with_eos else score.tokens))
        for score in scores
    ]
    logprobs = np.array([score.logprob for score in scores])
    got = np.array([score.logprob_per_byte for score in scores])
    sizes = np.array([max(1, len(text)) for text in texts])
    require_close(got, logprobs / sizes, "logprob_per_byte is not per byte of the tokens")
    suffix = request.suffix if isinstance(request.suffix, str) else ""
    for score, text in zip(scores, texts, strict=True):
        if not text.endswith((score.choice + suffix).encode()):
            _check_spelling(text, score.choice, suffix, respell)


def _scores_of(answer: ChoiceScores | TopChoices) -> Sequence[ChoiceLogprobs]:
    return answer.scores if isinstance(answer, ChoiceScores) else answer.top


def _check_prefix_choices(answer: ChoiceScores) -> None:
    """Check what follows from choices whose tokens begin those of others.

    In order, such a choice stands directly before one that it begins. With EOS there are none.
    """
    scores = sorted(answer.scores, key=lambda score: score.tokens)
    begins_other = False
    for score, after in pairwise(scores):
        if score.tokens == after.tokens:
            raise ContractError(f"the same tokens for {score.choice!r} and {after.choice!r}")
        begins_other = begins_other or after.tokens[: len(score.tokens)] == score.tokens
    require(
        answer.has_prefix_choices is begins_other,
        f"has_prefix_choices is {answer.has_prefix_choices!r}, but the tokens say otherwise",
    )
    if not begins_other:
        exclusive = np.array([score.exclusive_logprob for score in answer.scores])
        logprobs = np.array([score.logprob for score in answer.scores])
        message = "exclusive_logprob is not logprob, though no choice begins another"
        require_close(exclusive, logprobs, message)


def _check_spelling(text: bytes, choice: str, suffix: str, respell: Callable[[str], bytes]) -> None:
    """Check a text that does not end with a choice and suffix: the tokenizer may change these."""
    if suffix and text.endswith(choice.encode()):
        raise ContractError(f"the tokens of {choice!r} do not end with the suffix")
    if _simplify(text).endswith(_simplify((choice + suffix).encode())):
        return
    is_respelled = text.endswith(respell(choice + suffix).strip() or b"\0")
    require(is_respelled, f"the tokens of {choice!r} spell {text.decode(errors='replace')!r}")


def _simplify(text: bytes) -> str:
    """Return a text without blanks, case, accents and variants of characters."""
    characters = unicodedata.normalize("NFKD", text.decode("utf-8", errors="replace"))
    kept = (each for each in characters if not (each.isspace() or unicodedata.combining(each)))
    return "".join(kept).casefold()
