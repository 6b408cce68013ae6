"""A tokenizer on bytes: exact bytes of tokens, and special tokens only if requested."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autocog_core.errors import InputError, ModelLoadError
from autocog_core.lazy import lazy
from autocog_core.tokenizers.byte_alphabet import decode_byte_alphabet
from autocog_core.tokenizers.chat_template import ChatTemplate
from autocog_core.tokenizers.plain_text import (
    SpecialTokenSplitter,
    tokenize_continuation,
)
from autocog_core.tokenizers.rust_encoder import RustEncoder
from autocog_core.tokenizers.text_changes import require_unchanged_text
from autocog_core.tokenizers.token_text import (
    BYTE_TOKENS,
    find_added_bos,
    find_unicode_form,
    find_unknown,
    list_model_ids,
    list_special_tokens,
    may_drop_text,
    require_known_text,
    select_decoder,
    text_before_continuations,
)
from autocog_core.tokenizers.tokenizer_folder import read_tokenizer_folder
from autocog_core.tokenizers.word_boundaries import respects_word_boundaries
from autocog_core.types.prompt import Message, Prompt

_ROWS_HINT = "load the tokenizer that belongs to the model, or resize the model's embeddings"


class TextTokenizer:
    """A tokenizer of the package `tokenizers`, as the hooks of a backend need it.

    Its calls may overlap.

    :param rust: a `tokenizers.Tokenizer`. It belongs to this object from then on.
    :param size: V, the width of the model's rows. None: the highest id of the tokenizer, plus one.
    :param bos: id of the BOS token, if the tokenizer adds no special token by itself.
    :param adds_bos: whether sequences begin with BOS. None: whether the tokenizer adds a token.
    :param eos: ids that end a sequence. Ids without a row are left out.
    :param unknown: id of the token for text that has no token. None: the one that the tokenizer
        uses, if it does.
    :param chat_template: the model's chat template.
    :raises ModelLoadError: for a BOS that the model has no row for.
    :ivar size: V, the width of the model's rows.
    :ivar bos: id of the BOS token, or None.
    :ivar adds_bos: whether every sequence begins with BOS.
    :ivar eos: ids that end a sequence.
    :ivar special_tokens: the tokens that user text must not produce.
    :ivar tokens_without_rows: the tokens with ids that the model's rows do not have.
    :ivar restarts_after_special_tokens: see `BackendInfo`.
    :ivar unicode_form: see `BackendInfo.unicode_normalization`.
    """

    def __init__(
        self,
        rust: Any,
        *,
        size: int | None = None,
        bos: int | None = None,
        adds_bos: bool | None = None,
        eos: Iterable[int] = (),
        unknown: int | None = None,
        chat_template: ChatTemplate | None = None,
    ) -> None:
        self._rust = rust
        self._encode = RustEncoder(rust)
        self._added: dict[int, Any] = dict(rust.get_added_tokens_decoder())
        self._bytes: dict[int, bytes] = {}
        definition = json.loads(self.definition)
        model_ids = list_model_ids(definition)
        highest = max([*model_ids, *self._added], default=-1)
        self.size = highest + 1 if size is None else size
        self.tokens_without_rows = {
            id_: str(name)
            for id_ in range(self.size, highest + 1)
            if (name := rust.id_to_token(id_)) is not None
        }
        added_bos = find_added_bos(rust)
        self.bos = bos if added_bos is None else added_bos
        self.adds_bos = added_bos is not None if adds_bos is None else adds_bos
        if self.bos is None or not self.adds_bos:
            self.adds_bos = False
        elif self.bos >= self.size:
            raise ModelLoadError(
                f"the tokenizer's BOS has the id {self.bos}, and the model ends at {self.size - 1}",
                hint=_ROWS_HINT,
            )
        self.eos = tuple(id_ for id_ in dict.fromkeys(eos) if 0 <= id_ < self.size)
        self._chat_template = chat_template
        self._read_special_tokens()
        self._decode_name: Callable[[str], bytes] = select_decoder(rust, definition)
        # SentencePiece's models make some of the added tokens too, such as those of blanks: there
        # they have the model's names. A byte-level model's name of an added word is another word.
        is_byte_level = self._decode_name is decode_byte_alphabet
        self._found_as_written = {
            id_: token.content
            for id_, token in self._added.items()
            if is_byte_level or id_ not in model_ids
        }
        self._unknown = find_unknown(rust, definition) if unknown is None else unknown
        self._may_drop_text = may_drop_text(rust, definition)
        self.unicode_form = find_unicode_form(rust)
        self._read_blanks()

    @classmethod
    def from_folder(
        cls, folder: str | os.PathLike[str], *, size: int | None = None, changes_text: bool = False
    ) -> TextTokenizer:
        """Return the tokenizer of a folder in the format of Hugging Face.

        It needs `tokenizer.json`, and the package `tokenizers`. BOS, EOS and the chat template are
        read from the other files: `tokenizer_config.json`, `special_tokens_map.json`,
        `added_tokens.json`, `config.json`, `generation_config.json`, `chat_template.jinja`.

        :param folder: the folder, or the path of a lone tokenizer file.
        :param size: V, the width of the model's rows. None: the highest id of the tokenizer, plus
            one.
        :param changes_text: accept a tokenizer that does not keep texts as they are: one that
            lowers letters, or merges blanks.
        :raises ModelLoadError: if a file is missing or damaged, or the tokenizer changes texts.
        :raises PluginDependencyError: if the package `tokenizers` is not installed.
        """
        arguments = read_tokenizer_folder(folder)
        try:
            tokenizer = cls(**arguments, size=size)
        except ModelLoadError as error:
            error.where = error.where or str(folder)
            raise
        if not changes_text:
            require_unchanged_text(
                tokenizer.tokenize, tokenizer.detokenize, tokenizer.unicode_form, str(folder)
            )
        return tokenizer

    @property
    def chat_template(self) -> ChatTemplate | None:
        """The model's chat template."""
        return self._chat_template

    @lazy
    def definition(self) -> str:
        """The tokenizer as JSON, for fingerprints."""
        text: str = self._rust.to_str()
        return text

    def describe(self) -> dict[str, Any]:
        """Return the fields of `BackendInfo` that the tokenizer decides, by name."""
        return {
            "vocabulary_size": self.size,
            "bos": self.bos,
            "adds_bos": self.adds_bos,
            "eos": self.eos,
            "special_tokens": self.special_tokens,
            "restarts_after_special_tokens": self.restarts_after_special_tokens,
            "unicode_normalization": self.unicode_form,
            "splits_at_word_boundaries": self._splits_at_word_boundaries,
        }

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the token ids of each text, without BOS; see the hook `tokenize`.

        :param texts: the texts.
        :param at_start: whether the texts begin a sequence.
        :param parse_special: whether special tokens in the texts are parsed.
        :raises InputError: for text that has no tokens, or tokens that the model has no rows for.
        """
        tokenized = self._tokenize(texts, at_start, parse_special)
        for text, ids in zip(texts, tokenized, strict=True):
            self._check(text, ids, parse_special)
        return tokenized

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of `tokens`; special tokens have none."""
        return b"".join([self._token_bytes(token) for token in tokens])

    def vocabulary(self) -> list[bytes]:
        """Return the bytes of all V tokens."""
        return [self._token_bytes(token) for token in range(self.size)]

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        """Return the chat template around `messages`; None if the model has no template.

        :param messages: the messages.
        :param add_generation_prompt: whether the prompt ends with the start of an answer.
        :param template_arguments: further variables of the template.
        :raises InputError: if the template refuses the messages.
        """
        template = self.chat_template
        if template is None:
            return None
        special = [token.text for token in self.special_tokens]
        return template.prompt(messages, add_generation_prompt, special, template_arguments)

    @lazy
    def _splits_at_word_boundaries(self) -> bool:
        return respects_word_boundaries(self.vocabulary())

    def _read_special_tokens(self) -> None:
        self.special_tokens = list_special_tokens(self._added)
        self._special_ids = {token.id for token in self.special_tokens}
        unmarked = [t.text for t in self.special_tokens if not self._added[t.id].special]
        # The Rust tokenizer can ignore only tokens marked special: text is split inside the others.
        self._splitter = SpecialTokenSplitter(unmarked)
        # Some models have pieces with the names of special tokens and of bytes, and find them too.
        byte_names = [name for name in BYTE_TOKENS if self._rust.token_to_id(name) is not None]
        self._names_splitter = SpecialTokenSplitter(
            [*byte_names, *(token.text for token in self.special_tokens)]
        )

    def _read_blanks(self) -> None:
        """Try whether a blank is added before the first word, and after special tokens."""
        self._before_continuations = text_before_continuations(self._rust, self._unknown)
        first = self._encode(["a"], False)[0]
        self._adds_blank = first != self._tokenize_continuation("a")
        self.restarts_after_special_tokens = self._adds_blank and any(
            self._encode([f"{token.text}a"], True)[0][-len(first) :] == first
            for token in self.special_tokens[:1]
        )

    def _tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        if parse_special:
            return self._tokenize_whole(texts, at_start, parse_special)
        split_texts = [self._splitter.split(text) for text in texts]
        if any(len(parts) > 1 for parts in split_texts):
            tokenized = [self._tokenize_parts(parts, at_start) for parts in split_texts]
        else:
            tokenized = self._tokenize_whole(texts, at_start)
        return [
            self._tokenize_parts(self._names_splitter.split(text), at_start)
            if "<0x" in text or not self._special_ids.isdisjoint(ids)
            else ids
            for text, ids in zip(texts, tokenized, strict=True)
        ]

    def _check(self, text: str, ids: Sequence[int], parse_special: bool) -> None:
        """Refuse text that has no tokens, or tokens that the model has no rows for."""
        if self.tokens_without_rows:
            name = next(
                (name for id_, name in self.tokens_without_rows.items() if id_ in ids), None
            )
            if name is not None:
                raise InputError(
                    f"{name!r} is a token of the tokenizer, and the model has no row for it",
                    where="text",
                    hint=_ROWS_HINT,
                )
        # Trusted text may name special tokens, the unknown one too.
        if not parse_special and (self._may_drop_text or self._unknown in ids):
            raw = self.detokenize(ids) if self._may_drop_text else None
            require_known_text(self._rust, text, ids, self._unknown, raw)

    def _tokenize_whole(
        self, texts: Sequence[str], at_start: bool, parse_special: bool = False
    ) -> list[list[int]]:
        """Return the ids of each text; added tokens that are not marked special are parsed."""
        if not at_start and self._adds_blank:
            return [self._tokenize_continuation(text, parse_special) for text in texts]
        return self._encode(texts, parse_special)

    def _tokenize_parts(self, parts: Sequence[str], at_start: bool) -> list[int]:
        """Return the ids of a text in parts; the first part may begin the sequence."""
        first = self._tokenize_whole(parts[:1], at_start)
        return [token for ids in first + self._tokenize_whole(parts[1:], False) for token in ids]

    def _tokenize_continuation(self, text: str, parse_special: bool = False) -> list[int]:
        return tokenize_continuation(
            text,
            lambda texts: self._encode(texts, parse_special),
            after=self._before_continuations,
            unknown=self._unknown,
        )

    def _token_bytes(self, token: int) -> bytes:
        text = self._bytes.get(token)
        if text is None:
            text = self._bytes[token] = self._compute_bytes(token)
        return text

    def _compute_bytes(self, token: int) -> bytes:
        if token in self._special_ids:
            return b""
        content: str | None = self._found_as_written.get(token)
        if content is not None:
            return content.encode("utf-8")
        name = self._rust.id_to_token(token)
        # Logits may be wider than the vocabulary: the ids beyond it have no bytes.
        return b"" if name is None else self._decode_name(name)
