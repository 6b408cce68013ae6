"""Types for the options that backends publish: resources by path, and secrets.

A backend declares its options as a pydantic model with `extra="forbid"` (`BackendOptions`). When
they come from a config file, the validation context carries that file's folder.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from autocog_core.errors import ConfigError, did_you_mean

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


def validate(
    model: type[Any],
    data: Mapping[str, Any],
    *,
    where: str,
    prefix: str = "",
    folder: Path | None = None,
) -> Any:
    """`data` as an instance of the pydantic `model`.

    :param prefix: the key under which `data` stands, for messages.
    :param folder: what relative paths in it are relative to.
    :raises ConfigError: naming every wrong key, never a value (it may be a secret).
    """
    context = {"folder": folder} if folder is not None else None
    try:
        return TypeAdapter(model).validate_python(data, context=context)
    except ValidationError as error:
        # No cause is kept: pydantic's own message would show the values.
        messages = [_explain(fault, model, prefix) for fault in error.errors(include_input=False)]
    raise ConfigError("; ".join(dict.fromkeys(messages)), where=where)


def _explain(fault: Any, model: type[Any], prefix: str) -> str:
    """One fault of pydantic's, as key, what is wrong, and the nearest valid name."""
    location: Sequence[str | int] = fault["loc"]
    key = ".".join(part for part in (prefix, *map(str, location)) if part)
    if fault["type"] == "extra_forbidden":
        valid = _fields_at(model, location[:-1])
        return f"{key}: unknown key; {did_you_mean(str(location[-1]), valid)}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {message[:1].lower()}{message[1:]}" if key else message


def _fields_at(model: Any, location: Sequence[str | int]) -> list[str]:
    """The names that are valid in the table at `location` inside `model`."""
    for part in location:
        entries = get_args(model)
        if entries:  # a table of named entries or a list: `part` says which entry
            model = entries[1] if get_origin(model) is dict else entries[0]
        elif str(part) in getattr(model, "model_fields", {}):
            model = model.model_fields[str(part)].annotation
    names = getattr(model, "model_fields", {})
    return [name for name in names if name != "path"]
