"""Whether a tokenizer keeps texts as they are, tried on a few of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from autocog_core.errors import InputError, ModelLoadError
from autocog_core.types.backend_info import UnicodeForm

#: Ordinary texts, each of which some tokenizers change.
_TEXTS = (
    *("the cat", "The Cat", "a, b (c).", "a,b", "don't", "1 + 10"),
    *("a  b", "a ", " a", "a\nb", "a\tb"),
)
#: See the hooks of these names.
Tokenize = Callable[[Sequence[str], bool, bool], list[list[int]]]
Detokenize = Callable[[Sequence[int]], bytes]


def require_unchanged_text(
    tokenize: Tokenize, detokenize: Detokenize, unicode_form: UnicodeForm | None, where: str
) -> None:
    """Refuse a tokenizer that `find_changed_text` finds an example for.

    :param tokenize: see the hook `tokenize`.
    :param detokenize: see the hook `detokenize`.
    :param unicode_form: the Unicode form that the tokenizer converts text to.
    :param where: the tokenizer's folder.
    :raises ModelLoadError: with the example.
    """
    changed = find_changed_text(tokenize, detokenize, unicode_form)
    if changed is not None:
        text, spelled = changed
        raise ModelLoadError(
            f"its tokens do not spell the text: {text!r} becomes {spelled!r}",
            where=where,
            hint="choices and completions would be other texts; use another model, or accept "
            "this with TextTokenizer.from_folder(folder, changes_text=True)",
        )


def find_changed_text(
    tokenize: Tokenize, detokenize: Detokenize, unicode_form: UnicodeForm | None
) -> tuple[str, str] | None:
    """Return a text, and another one that its tokens spell; None if all tried texts are kept.

    A blank before the first word of a sequence, and the Unicode form, are no change. Texts that the
    vocabulary cannot express are not tried.

    :param tokenize: see the hook `tokenize`.
    :param detokenize: see the hook `detokenize`.
    :param unicode_form: the Unicode form that the tokenizer converts text to.
    """
    for text in _TEXTS:
        expected = unicodedata.normalize(unicode_form, text) if unicode_form else text
        for at_start in (True, False):
            try:
                (ids,) = tokenize([text], at_start, False)
            except InputError:
                continue
            spelled = detokenize(ids).decode("utf-8", "replace")
            if spelled != expected and not (at_start and spelled == f" {expected}"):
                return text, spelled
    return None
