"""A Transformers tokenizer on bytes: exact bytes of tokens, special tokens only if requested."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from inspect import signature
from typing import Any

from autocog_core import InputError, Message, ModelLoadError, Prompt, SpecialToken
from autocog_core.toolkit import (
    SpecialTokenSplitter,
    looks_like_control_token,
    render_chat_prompt,
    tokenize_continuation,
)
from autocog_tf.token_text import (
    BYTE_TOKENS,
    may_drop_text,
    require_known_text,
    select_decoder,
    text_before_continuations,
    unicode_form,
)

#: Parameters of `apply_chat_template` that are variables of the template.
_TEMPLATE_VARIABLES = {"tools", "documents"}
ROWS_HINT = "load the tokenizer that belongs to the model, or resize the model's embeddings"


class TextTokenizer:
    """A fast Transformers tokenizer with the interface of `EngineTokenizer`.

    :param tokenizer: a fast tokenizer.
    :param size: V, the width of the model's logits.
    :raises ModelLoadError: for a slow tokenizer, or a BOS that the model has no row for.
    :ivar tokenizer: the Transformers tokenizer.
    :ivar bos: id of the BOS token, or None.
    :ivar adds_bos: whether the tokenizer puts BOS before every sequence.
    :ivar special_tokens: the tokens that user text must not produce.
    :ivar tokens_without_rows: the tokens with ids that the model's logits do not have.
    :ivar restarts_after_special_tokens: see `BackendInfo`.
    :ivar unicode_form: see `BackendInfo.unicode_normalization`.
    """

    def __init__(self, tokenizer: Any, size: int) -> None:
        self.tokenizer = tokenizer
        self._rust: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._rust is None:
            raise ModelLoadError(
                f"{type(tokenizer).__name__} is a slow tokenizer",
                hint="autocog needs the fast form: convert it with Transformers",
            )
        self._size = size
        self._added: dict[int, Any] = dict(tokenizer.added_tokens_decoder)
        self._bytes: dict[int, bytes] = {}
        ids = tokenizer("a", add_special_tokens=True).input_ids
        self.bos: int | None = tokenizer.bos_token_id
        self.adds_bos = self.bos is not None and ids[:1] == [self.bos]
        self.special_tokens = tuple(
            SpecialToken(
                token.content,
                id_,
                strips_left=bool(token.lstrip),
                strips_right=bool(token.rstrip),
            )
            for id_, token in sorted(self._added.items())
            if token.special or looks_like_control_token(token.content)
        )
        self._special_ids = {token.id for token in self.special_tokens}
        unmarked = [t.text for t in self.special_tokens if not self._added[t.id].special]
        # The Rust tokenizer can ignore only tokens marked special: text is split inside the others.
        self._splitter = SpecialTokenSplitter(unmarked)
        # Some models have pieces with the names of special tokens and of bytes, and find them too.
        byte_names = [name for name in BYTE_TOKENS if self._rust.token_to_id(name) is not None]
        self._names_splitter = SpecialTokenSplitter(
            [*byte_names, *(token.text for token in self.special_tokens)]
        )
        definition = json.loads(self._rust.to_str())
        self._decode_name: Callable[[str], bytes] = select_decoder(self._rust, definition)
        self._unknown: int | None = tokenizer.unk_token_id
        self._may_drop_text = may_drop_text(self._rust, definition)
        self.unicode_form = unicode_form(self._rust)
        highest = max(self._rust.get_vocab_size(with_added_tokens=False) - 1, *self._added, size)
        self.tokens_without_rows = {
            id_: str(name)
            for id_ in range(size, highest + 1)
            if (name := self._rust.id_to_token(id_)) is not None
        }
        if self.adds_bos and self.bos in self.tokens_without_rows:
            raise ModelLoadError(
                f"the tokenizer's BOS has the id {self.bos}, and the model ends at {size - 1}",
                hint=ROWS_HINT,
            )
        self._before_continuations = text_before_continuations(self._rust)
        first = self._rust_ids(["a"], False)[0]
        self._adds_blank = first != self._tokenize_continuation("a")
        self.restarts_after_special_tokens = self._adds_blank and any(
            self._rust_ids([f"{token.text}a"], True)[0][-len(first) :] == first
            for token in self.special_tokens[:1]
        )

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the token ids of each text, without BOS; see the hook `tokenize`.

        :param texts: the texts.
        :param at_start: whether the texts begin a sequence.
        :param parse_special: whether special tokens in the texts are parsed.
        """
        tokenized = self._tokenize(texts, at_start, parse_special)
        for text, ids in zip(texts, tokenized, strict=True):
            self._check(text, ids, parse_special)
        return tokenized

    def _tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        split_texts = [] if parse_special else [self._splitter.split(text) for text in texts]
        if any(len(parts) > 1 for parts in split_texts):
            return [self._tokenize_parts(parts, at_start) for parts in split_texts]
        tokenized = self._tokenize_whole(texts, at_start, parse_special)
        if parse_special:
            return tokenized
        return [
            self._tokenize_parts(self._names_splitter.split(text), at_start)
            if "<0x" in text or not self._special_ids.isdisjoint(ids)
            else ids
            for text, ids in zip(texts, tokenized, strict=True)
        ]

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of `tokens`; special tokens have none."""
        return b"".join([self._token_bytes(token) for token in tokens])

    def vocabulary(self) -> list[bytes]:
        """Return the bytes of all V tokens."""
        return [self._token_bytes(token) for token in range(self._size)]

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        """Return the chat template around `messages`; None if the tokenizer has no template.

        :param messages: the messages.
        :param add_generation_prompt: whether the prompt ends with the start of an answer.
        :param template_arguments: further variables of the template.
        :raises InputError: if the template refuses the messages.
        """
        if not self.tokenizer.chat_template:
            return None
        parameters = signature(self.tokenizer.apply_chat_template).parameters
        if names := template_arguments.keys() & (parameters.keys() - _TEMPLATE_VARIABLES):
            raise InputError(
                f'"{min(names)}" is a parameter of Transformers, and no variable of the template',
                where="template_arguments",
                hint="leave it out",
            )

        def render(items: list[dict[str, str]]) -> str:
            try:
                text: str = self.tokenizer.apply_chat_template(
                    items,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    **template_arguments,
                )
            # Templates raise a TemplateError for roles, or an order of roles, that they do not
            # support. But they are programs, and can fail in other ways.
            except Exception as error:
                raise InputError(
                    f"the model's chat template refuses them: {error}", where="messages"
                ) from error
            return text

        return render_chat_prompt(messages, render, [t.text for t in self.special_tokens])

    @cached_property
    def definition(self) -> str:
        """The tokenizer as JSON, for fingerprints."""
        text: str = self._rust.to_str()
        return text

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
                    hint=ROWS_HINT,
                )
        # Trusted text may name special tokens, the unknown one too.
        if not parse_special and (self._may_drop_text or self._unknown in ids):
            raw = self.detokenize(ids) if self._may_drop_text else None
            require_known_text(self._rust, text, ids, self._unknown, raw)

    def _rust_ids(self, texts: Sequence[str], parse_special: bool) -> list[list[int]]:
        self._rust.no_truncation()
        self._rust.no_padding()
        self._rust.encode_special_tokens = not parse_special
        try:
            encodings = self._rust.encode_batch_fast(list(texts), add_special_tokens=False)
        finally:
            self._rust.encode_special_tokens = False
        return [encoding.ids for encoding in encodings]

    def _tokenize_whole(
        self, texts: Sequence[str], at_start: bool, parse_special: bool = False
    ) -> list[list[int]]:
        """Return the ids of each text; added tokens that are not marked special are parsed."""
        if not at_start and self._adds_blank:
            return [self._tokenize_continuation(text, parse_special) for text in texts]
        return self._rust_ids(texts, parse_special)

    def _tokenize_parts(self, parts: Sequence[str], at_start: bool) -> list[int]:
        """Return the ids of a text in parts; the first part may begin the sequence."""
        first = self._tokenize_whole(parts[:1], at_start)
        return [token for ids in first + self._tokenize_whole(parts[1:], False) for token in ids]

    def _tokenize_continuation(self, text: str, parse_special: bool = False) -> list[int]:
        return tokenize_continuation(
            text,
            lambda texts: self._rust_ids(texts, parse_special),
            after=self._before_continuations,
        )

    def _token_bytes(self, token: int) -> bytes:
        text = self._bytes.get(token)
        if text is None:
            text = self._bytes[token] = self._compute_bytes(token)
        return text

    def _compute_bytes(self, token: int) -> bytes:
        if token in self._special_ids:
            return b""
        if token in self._added:
            content: str = self._added[token].content
            return content.encode("utf-8")
        name = self._rust.id_to_token(token)
        # Logits may be wider than the vocabulary: the ids beyond it have no bytes.
        return b"" if name is None else self._decode_name(name)
