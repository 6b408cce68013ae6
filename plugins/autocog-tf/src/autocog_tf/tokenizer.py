"""Core's tokenizer over one of Transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from autocog_core import ModelLoadError
from autocog_core.toolkit import ChatTemplate, TextTokenizer


class TransformersTokenizer(TextTokenizer):
    """A fast Transformers tokenizer with the interface of `TextTokenizer`.

    :param tokenizer: a fast tokenizer.
    :param size: V, the width of the model's logits.
    :param eos: ids that end a sequence, beside the tokenizer's own.
    :raises ModelLoadError: for a slow tokenizer, or a BOS that the model has no row for.
    :ivar tokenizer: the Transformers tokenizer.
    """

    def __init__(self, tokenizer: Any, size: int, eos: Iterable[int] = ()) -> None:
        rust = getattr(tokenizer, "backend_tokenizer", None)
        if rust is None:
            raise ModelLoadError(
                f"{type(tokenizer).__name__} is a slow tokenizer",
                hint="autocog needs the fast form: convert it with Transformers",
            )
        own_eos = tokenizer.eos_token_id
        super().__init__(
            rust,
            size=size,
            bos=tokenizer.bos_token_id,
            eos=[*eos, *([] if own_eos is None else [own_eos])],
            unknown=tokenizer.unk_token_id,
        )
        self.tokenizer = tokenizer
        self._compiled: tuple[object, ChatTemplate | None] = (None, None)

    @property
    def chat_template(self) -> ChatTemplate | None:
        """The chat template that the tokenizer has now: it may be replaced at any time."""
        source = self.tokenizer.chat_template
        if self._compiled[0] != source:
            self._compiled = (source, self._compile(source) if source else None)
        return self._compiled[1]

    def _compile(self, source: str | Mapping[str, str]) -> ChatTemplate:
        own = type(self.tokenizer).apply_chat_template
        if own is not PreTrainedTokenizerBase.apply_chat_template:
            return _OwnTemplate(self.tokenizer)
        # Templates that the folder has as files, beside those of the config.
        folder = Path(self.tokenizer.name_or_path or "")
        file = folder / "chat_template.jinja"
        place = str(file) if file.is_file() else f"{folder}: chat_template"
        names = ["default"] if isinstance(source, str) else source
        places = dict.fromkeys(names, place)
        return ChatTemplate(source, self.tokenizer.special_tokens_map, places)


class _OwnTemplate(ChatTemplate):
    """The chat template of a class that renders it in a way of its own."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def render(self, variables: Mapping[str, Any]) -> str:
        arguments = {name: value for name, value in variables.items() if name != "messages"}
        text: str = self._tokenizer.apply_chat_template(
            variables["messages"], tokenize=False, **arguments
        )
        return text
