"""Types for the options that backends publish: resources by path, and secrets.

A backend declares its options as a pydantic model with `extra="forbid"` (`BackendOptions`). When
they come from a config file, the validation context carries that file's folder.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

PACKAGE_PREFIX = "package:"
#: A file on the Hugging Face hub, `hf:OWNER/NAME/FILE`, for backends that read single files.
HUB_PREFIX = "hf:"


class BackendOptions(BaseModel):
    """Base for a backend's options: unknown names are refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def package_file(reference: str) -> Path:
    """The file that `package:PKG/FILE` names, found without importing the package.

    :raises ValueError: if the package is not installed or has no such file.
    """
    package, _, inside = reference.removeprefix(PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f'no installed Python package "{package}" (for {reference!r})')
    for folder in spec.submodule_search_locations:
        path = Path(folder, inside)
        if path.exists():
            return path
    present = sorted(p.name for f in spec.submodule_search_locations for p in Path(f).iterdir())
    raise ValueError(
        f'package "{package}" has no file "{inside}"; it has: ' + ", ".join(present[:12])
    )


def looks_like_path(value: str) -> bool:
    """Whether `value` can only mean a file or folder, not a name on a hub."""
    return value.startswith(("/", "./", "../", "~", ".\\")) or value.endswith(
        (".gguf", ".json", ".safetensors")
    )


def _resolve_resource(value: str, info: ValidationInfo) -> str:
    if value.startswith(PACKAGE_PREFIX):
        return str(package_file(value))
    if value.startswith(HUB_PREFIX):
        return value
    base = (info.context or {}).get("folder", Path())
    path = Path(base, Path(value).expanduser())
    if path.exists():
        return str(path)
    if looks_like_path(value):
        raise ValueError(f"no file or folder {path}")
    return value


#: A file or folder (relative to the config file), `package:PKG/FILE`, or a name on a hub (also with
#: `hf:`), which is left as it is.
Resource = Annotated[str, AfterValidator(_resolve_resource)]
