"""Finds the .gguf files that `model_path` names, also on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from autocog_core import ConfigError
from autocog_core.toolkit import HUB_PREFIX

_PART_NAME = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")


def find_file(model_path: str) -> Path:
    """Return the file that `model_path` names. A file on the hub is downloaded to its cache.

    :raises ConfigError: if there is no such file.
    """
    if model_path.startswith(HUB_PREFIX):
        return _download(model_path)
    path = Path(model_path)
    if not path.is_file():
        raise ConfigError(
            f"{model_path} is not a file",
            where="model_path",
            hint="give a .gguf file, package:PKG/FILE or hf:REPO/FILE",
        )
    return path


def find_parts(path: Path) -> list[Path]:
    """Return all files of a split model (`NAME-00001-of-00003.gguf`), or the single file."""
    return [path.with_name(name) for name in _part_names(path.name)]


def _download(model_path: str) -> Path:
    """Download all parts of a model; return the first one."""
    owner, _, repository_path = model_path.removeprefix(HUB_PREFIX).partition("/")
    name, _, file = repository_path.partition("/")
    if not file:
        raise ConfigError(
            f"{model_path} names no file",
            where="model_path",
            hint="for example hf:OWNER/NAME/FILE.gguf",
        )
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{model_path} needs the package huggingface-hub",
            where="model_path",
            hint='pip install "autocog-llamacpp[hub]", or download the file yourself',
        ) from error
    try:
        first, *_ = [hf_hub_download(f"{owner}/{name}", part) for part in _part_names(file)]
    # The errors (network, HTTP, unknown names) have no common base class.
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"cannot get {model_path}: {first_line}",
            where="model_path",
            hint="is the name right, and is the hub reachable (or the file downloaded before)?",
        ) from error
    return Path(first)


def _part_names(name: str) -> list[str]:
    match = _PART_NAME.fullmatch(name)
    if match is None:
        return [name]
    count = int(match[2])
    return [f"{match[1]}-{index:05d}-of-{count:05d}.gguf" for index in range(1, count + 1)]
