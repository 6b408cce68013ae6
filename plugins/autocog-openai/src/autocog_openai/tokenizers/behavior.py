"""How a tokenizer treats the start of a text, and whether it is the one of the server's model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from autocog_core import ConfigError, InputError
from autocog_core.toolkit import shorten
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.load import (
    Tokenizer,
    tokenize_continuation,
    tokenize_if_possible,
)
from autocog_openai.tokenizers.route_tokenizer import RouteTokenizer

#: A plain text: libraries differ in rare characters, and a wrong tokenizer differs here.
AGREEMENT_TEXT = "The quick brown fox jumps over the lazy dog, 1 + 1 = 2."


def adds_blank(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer puts a blank before a text that begins a sequence."""
    try:
        return _start(tokenizer) != tokenize_continuation(tokenizer, "a")
    except InputError:
        return False


def restarts_after_special_tokens(tokenizer: Tokenizer, names: Iterable[str]) -> bool | None:
    """Return whether text after a special token begins as a sequence does; see `BackendInfo`.

    :param names: texts of special tokens.
    :returns: None if the tokenizer parses none of them.
    """
    for name in names:
        ids = tokenizer.tokenize(name, parse_special=True)
        if len(ids) == 1 and not tokenizer.token_bytes(ids[0]):
            start = tokenizer.tokenize("a", parse_special=True)
            after = tokenizer.tokenize(f"{name}a", parse_special=True)
            return adds_blank(tokenizer) and after[-len(start) :] == start
    return None


def require_same_tokens(
    tokenizer: Tokenizer, dialect: ServerDialect, capabilities: ServerCapabilities
) -> None:
    """Check the tokenizer of the option `tokenizer` against the server's own.

    :raises ConfigError: if they give other ids: the numbers would be those of another text.
    """
    if not capabilities.tokenizer_route or isinstance(tokenizer, RouteTokenizer):
        return
    ids = tokenize_if_possible(tokenizer, AGREEMENT_TEXT)
    of_server = RouteTokenizer(dialect, capabilities).tokenize(AGREEMENT_TEXT, parse_special=False)
    if ids != of_server:
        raise ConfigError(
            f"it is not the tokenizer of the server's model: {AGREEMENT_TEXT[:9]!r} ... has the "
            f"ids {_shown(ids)} here, and {_shown(of_server)} on the server",
            where="tokenizer",
            hint="leave out the option tokenizer: the server has a tokenizer route",
        )


def require_rows(tokens: Sequence[int], size: int | None, text: str) -> None:
    """Check that the server's model has a row for each token of a text.

    :param size: the number of its rows; None if the server does not report it.
    :raises InputError: if it has none for one of them.
    """
    if size is not None and tokens and max(tokens) >= size:
        raise InputError(
            f"it has the token {max(tokens)}, and the server's model ends at {size - 1}",
            where=f"text {shorten(text, 40)!r}",
            hint="give the tokenizer that belongs to the model",
        )


def _start(tokenizer: Tokenizer) -> list[int]:
    return tokenizer.tokenize("a", parse_special=False)


def _shown(ids: Collection[int]) -> str:
    return shorten(str(list(ids)), 40)
