"""What tokens are called in answers: by their text, or by their id."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

from autocog_core.model.model import Model

#: OpenAI's smallest log-probability: JSON has no minus infinity.
IMPOSSIBLE_LOGPROB = -9999.0


class TokenNames:
    """Names and bytes of a model's tokens.

    The bytes come from the model, so that the names are made on its thread.

    :param model: the model.
    :param by_id: whether a token is called "token_id:5" and not by its text.
    """

    def __init__(self, model: Model, *, by_id: bool) -> None:
        self._client = model.client
        self._by_id = by_id
        self._special = {special.id: special.text for special in model.info.special_tokens}

    def name(self, token: int) -> str:
        r"""Return the name of a token.

        Bytes that are no text are written as OpenAI does, "bytes:\xe2\x80".
        """
        if self._by_id:
            return f"token_id:{token}"
        raw = self.raw(token)
        if not raw:
            return self._special.get(token, "")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def raw(self, token: int) -> bytes:
        """Return the bytes of a token; special tokens have none."""
        return self._client.token_bytes(token)

    def offsets(self, tokens: Iterable[int], start: int) -> list[int]:
        """Return where the text of each token begins, in characters.

        :param tokens: tokens that follow each other.
        :param start: where the first one begins.
        """
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        offsets: list[int] = []
        for token in tokens:
            offsets.append(start)
            start += len(decoder.decode(self.raw(token)))
        return offsets


def as_json_logprob(logprob: float | None) -> float | None:
    """Return a log-probability that JSON has."""
    return None if logprob is None else max(logprob, IMPOSSIBLE_LOGPROB)


def best_by_name(
    names: TokenNames, token: int, logprob: float, top: Sequence[tuple[int, float]]
) -> dict[str, float]:
    """Return the likeliest tokens by name, and the token of the text whatever its rank.

    Of tokens with one name, the likeliest is listed, or that of the text.
    """
    listed: dict[str, float] = {}
    for other, value in top:
        listed.setdefault(names.name(other), max(value, IMPOSSIBLE_LOGPROB))
    listed[names.name(token)] = max(logprob, IMPOSSIBLE_LOGPROB)
    return listed
