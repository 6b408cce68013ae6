"""The tokenizer of a .gguf file, made with the `tokenizers` package.

Transformers converts such tokenizers too, but it does not know how many of them split text, when
they ignore merges, or which tokens of some models are special. It then returns other tokens than
the model was trained on. Here a tokenizer is either the model's own, or refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from autocog_core import ModelLoadError
from autocog_tf.gguf_splits import TEXT_SPLITS

#: SentencePiece writes a blank as this character.
BLANK = "\u2581"
#: What the user must know about tokens of the type "default".
NOTICE = (
    "the file does not say how its tokenizer splits text. Its tokens are those of llama.cpp, and "
    "may differ from those that the model was trained on: convert the model again"
)
_OTHER_WAYS = "use the backend llamacpp for this file, or the folder of the original model"
_SPECIAL_TYPES = (TokenType.CONTROL, TokenType.UNKNOWN)
#: Some files mark these as ordinary tokens. llama.cpp corrects them by their names.
_ENDS = {
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>"),
    *("<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<EOT>", "</s>", "<eos>"),
}


class GgufTokenizer:
    """What a .gguf file says about its tokenizer.

    :param path: the file.
    :ivar notice: what the user must know about its tokens; "" if nothing.
    :raises ModelLoadError: if the vocabulary is incomplete.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.name
        fields = GGUFReader(str(path)).fields
        self._values: dict[str, Any] = {
            name.removeprefix("tokenizer."): field.contents()
            for name, field in fields.items()
            if name.startswith("tokenizer.")
        }
        name = fields.get("general.name")
        self._is_phi_3 = name is not None and any(
            part in str(name.contents()).lower() for part in ("phi-3", "phi3")
        )
        self._kind = self._get("ggml.model")
        self.notice = ""
        # Every id needs a name of its own; llama.cpp gives the same one.
        self._tokens = [
            token or f"[EMPTY_{id_}]" for id_, token in enumerate(self._get("ggml.tokens"))
        ]
        self._types = self._read_types()
        self._ids = {token: id_ for id_, token in enumerate(self._tokens)}
        if len(self._ids) < len(self._tokens):
            raise self._error("the vocabulary has several tokens with one name", "ggml.tokens")

    def convert(self) -> Any:
        """Return the tokenizer for Transformers.

        :raises ModelLoadError: if it is of a kind or type that is not supported.
        """
        if self._kind == "gpt2":
            rust, adds_bos = self._byte_level()
        elif self._kind == "llama":
            rust, adds_bos = self._sentencepiece(), True
        elif self._kind == "gemma4":
            rust, adds_bos = self._gemma_4(), True
        else:
            raise self._error(
                f'tokenizers of the kind "{self._kind}" are not supported', "ggml.model"
            )
        rust.add_tokens(self._added_tokens())
        bos = self._special("bos")
        if self._values.get("ggml.add_bos_token", adds_bos):
            if bos is None:
                raise self._error(
                    "every sequence begins with BOS, but the file does not say which token that is",
                    "ggml.bos_token_id",
                )
            rust.post_processor = TemplateProcessing(
                single=[bos, "$A"], special_tokens=[(bos, self._ids[bos])]
            )
        return PreTrainedTokenizerFast(
            tokenizer_object=rust,
            clean_up_tokenization_spaces=False,
            bos_token=bos,
            eos_token=self._special("eos"),
            unk_token=self._special("unknown"),
            pad_token=self._special("padding"),
            chat_template=self._values.get("chat_template"),
        )

    def _get(self, key: str) -> Any:
        if key not in self._values:
            raise self._error(f"the file has no tokenizer.{key}", key)
        return self._values[key]

    def _error(self, message: str, key: str) -> ModelLoadError:
        return ModelLoadError(message, where=f"{self._file}, tokenizer.{key}", hint=_OTHER_WAYS)

    def _special(self, name: str) -> str | None:
        """The token that the file names as BOS, EOS ...; None if it names none."""
        id_ = self._values.get(f"ggml.{name}_token_id")
        return self._tokens[id_] if id_ is not None and id_ < len(self._tokens) else None

    def _read_types(self) -> list[int]:
        types = self._values.get("ggml.token_type", [TokenType.NORMAL] * len(self._tokens))
        if len(types) < len(self._tokens):
            raise self._error("the vocabulary has tokens without a type", "ggml.token_type")
        named = {self._special(name) for name in ("bos", "eos", "eot", "eom", "unknown", "padding")}
        return [
            TokenType.CONTROL
            if kind == TokenType.NORMAL and (token in named or token in _ENDS)
            else int(kind)
            for token, kind in zip(self._tokens, types, strict=False)
        ]

    def _byte_level(self) -> tuple[Tokenizer, bool]:
        """Return a byte-level BPE, and whether it adds BOS if the file does not say."""
        name = self._values.get("ggml.pre", "default")
        split = TEXT_SPLITS.get(name)
        if split is None:
            raise self._error(
                f'it is not known how tokenizers of the type "{name}" split text', "ggml.pre"
            )
        if name == "default":
            self.notice = NOTICE
        rust = Tokenizer(
            models.BPE(vocab=self._ids, merges=self._merges(), ignore_merges=split.ignores_merges)
        )
        rust.pre_tokenizer = split.make()
        rust.decoder = decoders.ByteLevel()
        return rust, split.adds_bos

    def _sentencepiece(self) -> Tokenizer:
        rust = self._with_blanks(self._merges_by_score())
        rust.normalizer = normalizers.Replace(" ", BLANK)
        if self._values.get("ggml.add_space_prefix", True):
            # Also before a blank, unlike the pre-tokenizer `Metaspace`.
            rust.normalizer = normalizers.Sequence([normalizers.Prepend(BLANK), rust.normalizer])
        return rust

    def _gemma_4(self) -> Tokenizer:
        rust = self._with_blanks(self._merges())
        rust.normalizer = normalizers.Replace(" ", BLANK)
        return rust

    def _with_blanks(self, merges: Sequence[tuple[str, str]]) -> Tokenizer:
        """Return a BPE that writes blanks as U+2581, and unknown characters as bytes."""
        for byte in range(256):
            if f"<0x{byte:02X}>" not in self._ids:
                raise self._error(
                    f"the vocabulary has no token for the byte 0x{byte:02X}", "ggml.tokens"
                )
        rust = Tokenizer(
            models.BPE(vocab=self._ids, merges=list(merges), byte_fallback=True, fuse_unk=True)
        )
        rust.decoder = decoders.Sequence(
            [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        return rust

    def _merges(self) -> list[tuple[str, str]]:
        pairs = []
        for merge in self._get("ggml.merges"):
            # The first part of a merge may begin with a blank.
            at = merge.index(" ", 1)
            pairs.append((merge[:at], merge[at + 1 :]))
        return pairs

    def _merges_by_score(self) -> list[tuple[str, str]]:
        """Return SentencePiece's merges: two tokens become one; the best score comes first."""
        scores = self._get("ggml.scores")
        # Text is never merged to one of the others.
        mergeable = {
            token: id_
            for token, id_ in self._ids.items()
            if self._types[id_] not in (*_SPECIAL_TYPES, TokenType.BYTE)
        }
        merges = []
        for token, id_ in mergeable.items():
            for at in range(1, len(token)):
                first, second = mergeable.get(token[:at]), mergeable.get(token[at:])
                if first is not None and second is not None:
                    merges.append((-float(scores[id_]), first, second))
        return [(self._tokens[first], self._tokens[second]) for _, first, second in sorted(merges)]

    def _added_tokens(self) -> list[AddedToken]:
        """Return the tokens that are found in text as they are: special ones, and words."""
        return [
            AddedToken(
                token,
                normalized=False,
                special=kind in _SPECIAL_TYPES,
                # No file says so, but Phi-3's special tokens take the blanks after them.
                rstrip=self._is_phi_3 and token not in ("<unk>", "<s>", "<|endoftext|>"),
            )
            for token, kind in zip(self._tokens, self._types, strict=True)
            if kind in (*_SPECIAL_TYPES, TokenType.USER_DEFINED)
        ]
