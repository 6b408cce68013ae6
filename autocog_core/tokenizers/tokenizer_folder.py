"""The files of a tokenizer folder in the format of Hugging Face."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autocog_core.errors import ModelLoadError, PluginDependencyError
from autocog_core.tokenizers.chat_template import ChatTemplate

TOKENIZER_FILE = "tokenizer.json"
#: Formats that `tokenizers` does not read.
_OTHER_FORMATS = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
#: The names of special tokens in a config.
_NAMED = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
#: The settings of an added token.
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def read_tokenizer_folder(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the arguments of `TextTokenizer`, without `size`.

    :param source: the folder, or a lone tokenizer file.
    :raises ModelLoadError: if a file is missing or damaged.
    :raises PluginDependencyError: if the package `tokenizers` is not installed.
    """
    path = Path(source)
    if path.is_dir():
        rust = _read_tokenizer(path / TOKENIZER_FILE)
        return _Folder(path, rust).arguments()
    rust = _read_tokenizer(path)
    return {"rust": rust}


class _Folder:
    """The files beside a tokenizer.

    :param path: the folder.
    :param rust: its tokenizer, to which the tokens are added that only the config has.
    """

    def __init__(self, path: Path, rust: Any) -> None:
        self._path = path
        self._rust = rust
        self._config = self._read_json("tokenizer_config.json")
        if "added_tokens_decoder" not in self._config:
            # Older folders have the special tokens in a file of their own.
            self._config |= self._read_json("special_tokens_map.json")
        self._named = {name: text for name in _NAMED if (text := _text_of(self._config.get(name)))}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `TextTokenizer`."""
        self._add_tokens()
        return {
            "rust": self._rust,
            "bos": self._id_of("bos_token"),
            "adds_bos": self._read_adds_bos(),
            "eos": list(self._eos_ids()),
            "unknown": self._id_of("unk_token"),
            "chat_template": self._read_chat_template(),
        }

    def _read_json(self, name: str) -> dict[str, Any]:
        file = self._path / name
        if not file.is_file():
            return {}
        try:
            values = json.loads(_read_text(file))
            # JSON can write half a character, which no tokenizer takes.
            json.dumps(values, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise ModelLoadError(f"it is not valid JSON: {error}", where=str(file)) from error
        if not isinstance(values, dict):
            raise ModelLoadError("it is not a JSON object", where=str(file))
        return values

    def _id_of(self, name: str) -> int | None:
        text = self._named.get(name)
        id_: int | None = None if text is None else self._rust.token_to_id(text)
        return id_

    def _read_adds_bos(self) -> bool | None:
        """Return what the config says; None if it says nothing, and the tokenizer decides."""
        adds = self._config.get("add_bos_token")
        return adds if isinstance(adds, bool) else None

    def _eos_ids(self) -> Iterator[int]:
        for name in ("generation_config.json", "config.json"):
            values = self._read_json(name)
            text_values = values.get("text_config")
            for config in (values, text_values if isinstance(text_values, dict) else {}):
                eos = config.get("eos_token_id")
                for id_ in eos if isinstance(eos, list) else [eos]:
                    if isinstance(id_, int) and not isinstance(id_, bool):
                        yield id_
        if (own := self._id_of("eos_token")) is not None:
            yield own

    def _add_tokens(self) -> None:
        """Add the tokens that the tokenizer file lacks, and mark those special that are named."""
        from tokenizers import AddedToken

        listed = self._listed_tokens()
        for id_, token in sorted(listed.items()):
            if self._rust.token_to_id(token.content) is None:
                self._rust.add_tokens([token])
                if self._rust.token_to_id(token.content) != id_:
                    raise ModelLoadError(
                        f"the token {token.content!r} has the id {id_} in the config, and "
                        f"{TOKENIZER_FILE} lacks tokens before it",
                        where=str(self._path),
                        hint="save the tokenizer again",
                    )
        special = {t.content for t in self._rust.get_added_tokens_decoder().values() if t.special}
        names = [*self._named.values(), *self._extra_special_tokens()]
        for text in dict.fromkeys(names):
            if text not in special:
                self._rust.add_special_tokens([AddedToken(text, special=True, normalized=False)])

    def _listed_tokens(self) -> dict[int, Any]:
        """Return the added tokens of the config, by id."""
        from tokenizers import AddedToken

        name = "tokenizer_config.json"
        listed = self._config.get("added_tokens_decoder")
        try:
            if listed is not None:
                return {
                    int(id_): AddedToken(
                        values["content"],
                        **{flag: bool(values[flag]) for flag in _FLAGS if flag in values},
                    )
                    for id_, values in listed.items()
                }
            name = "added_tokens.json"
            special = {*self._named.values(), *self._extra_special_tokens()}
            return {
                int(id_): AddedToken(text, special=text in special, normalized=text not in special)
                for text, id_ in self._read_json(name).items()
            }
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ModelLoadError(
                "its added tokens are damaged", where=str(self._path / name)
            ) from error

    def _extra_special_tokens(self) -> list[str]:
        texts: list[str] = []
        for key in ("additional_special_tokens", "extra_special_tokens"):
            values = self._config.get(key) or []
            items = values.values() if isinstance(values, Mapping) else values
            if isinstance(items, str) or not isinstance(items, Iterable):
                raise ModelLoadError(
                    f"{key} is neither a list nor an object",
                    where=str(self._path / "tokenizer_config.json"),
                )
            texts += [text for item in items if (text := _text_of(item))]
        return texts

    def _read_chat_template(self) -> ChatTemplate | None:
        files = {"default": self._path / "chat_template.jinja"}
        files |= {
            file.stem: file for file in sorted(self._path.glob("additional_chat_templates/*.jinja"))
        }
        texts = {name: _read_text(file) for name, file in files.items() if file.is_file()}
        try:
            source = texts or self._template_of_config()
            if not source:
                return None
            key = f"{self._path / 'tokenizer_config.json'}: chat_template"
            if texts:
                places = {name: str(files[name]) for name in texts}
            elif isinstance(source, str):
                places = {"default": key}
            else:
                places = {name: f'{key} "{name}"' for name in source}
            return ChatTemplate(source, self._template_tokens(), places)
        except ModelLoadError as error:
            error.where = error.where or str(self._path)
            raise

    def _template_of_config(self) -> str | dict[str, str]:
        template = self._config.get("chat_template") or ""
        if isinstance(template, str):
            return template
        try:
            by_name = {str(entry["name"]): entry["template"] for entry in template}
        except (TypeError, KeyError):
            by_name = {"": None}
        if not all(isinstance(text, str) for text in by_name.values()):
            raise ModelLoadError(
                "its chat template is damaged", where=str(self._path / "tokenizer_config.json")
            )
        return by_name

    def _template_tokens(self) -> dict[str, str]:
        """Return the special tokens that templates may use, by name."""
        extra = self._config.get("extra_special_tokens")
        named = {
            key: text
            for key, value in self._config.items()
            if key.endswith("_token") and (text := _text_of(value))
        }
        if isinstance(extra, Mapping):
            named |= {name: text for name, value in extra.items() if (text := _text_of(value))}
        return named


def _read_tokenizer(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise PluginDependencyError(
            "a tokenizer file needs the package tokenizers",
            where=str(file),
            hint='pip install "autocog-core[tokenizers]"',
        ) from error
    if not file.is_file():
        other = next((name for name in _OTHER_FORMATS if (file.parent / name).exists()), None)
        raise ModelLoadError(
            f"there is no {file.name}" + (f", only {other}" if other else ""),
            where=str(file.parent),
            hint="convert the tokenizer with Transformers: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            if other
            else "give the folder that has the tokenizer of the model",
        )
    try:
        # Not `from_file`, which takes a byte order mark for damage.
        return Tokenizer.from_str(_read_text(file))
    except ModelLoadError:
        raise
    # The library raises a plain Exception.
    except Exception as error:
        raise ModelLoadError(f"it is not a tokenizer: {error}", where=str(file)) from error


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelLoadError(f"it cannot be read: {error}", where=str(file)) from error


def _text_of(token: object) -> str | None:
    """Return the text of a token that a config names: as it is, or with its settings."""
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) and text else None
