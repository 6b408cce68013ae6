"""Options of backends: their base class, the type of paths, and validation.

A backend declares its options as a subclass of `BackendOptions`. For options from a config file,
paths are relative to the file's folder.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from autocog_core.config.paths import (
    is_hub_name,
    missing_message,
    resolve_new_path,
    resolve_path,
)
from autocog_core.errors import ConfigError, did_you_mean

#: A file in an installed Python package: `package:PKG/FILE`.
PACKAGE_PREFIX = "package:"
#: A file on the Hugging Face hub, for backends that read single files: `hf:OWNER/NAME/FILE`.
HUB_PREFIX = "hf:"


class BackendOptions(BaseModel):
    """Base class of a backend's options: unknown names are errors, and instances are frozen.

    TOML has infinite numbers and NaN. No option may be one.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


def package_file(reference: str) -> Path:
    """Return a file of an installed package, without importing the package.

    :param reference: `package:PKG/FILE`.
    :raises ValueError: if the package is not installed or has no such file.
    """
    package, _, name = reference.removeprefix(PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f'no installed Python package "{package}" (for {reference!r})')
    if Path(name).anchor or ".." in Path(name).parts:
        raise ValueError(f"{reference!r} names a file outside of the package")
    for folder in spec.submodule_search_locations:
        path = Path(folder, name)
        if os.path.exists(path):
            return path
    files = sorted(p.name for f in spec.submodule_search_locations for p in Path(f).iterdir())
    raise ValueError(f'package "{package}" has no file "{name}"; it has: ' + ", ".join(files[:12]))


def _text_of_path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, Path) else value


def _resolve_resource(value: str, info: ValidationInfo) -> str:
    if value.startswith(PACKAGE_PREFIX):
        return str(package_file(value))
    if value.startswith(HUB_PREFIX):
        return value
    path = resolve_path(value, _folder_of(info))
    if os.path.exists(path):
        return str(path)
    if is_hub_name(value):
        return value
    raise ValueError(missing_message(value, path))


def _resolve_new_file(value: Any, info: ValidationInfo) -> Any:
    return resolve_new_path(value, _folder_of(info)) if isinstance(value, str | Path) else value


def _folder_of(info: ValidationInfo) -> Path | None:
    return (info.context or {}).get("folder")


#: A file or folder (relative to the config file), `package:PKG/FILE`, or a name on a hub (also with
#: `hf:`), which stays unchanged.
Resource = Annotated[str, BeforeValidator(_text_of_path), AfterValidator(_resolve_resource)]
#: A file that need not exist. In a config file, its path is relative to that file.
FilePath = Annotated[Path, BeforeValidator(_resolve_new_file)]


def validate(
    model: type[Any],
    data: Mapping[str, Any],
    *,
    where: str,
    prefix: str = "",
    folder: Path | None = None,
) -> Any:
    """Return `data` as an instance of a pydantic model.

    :param model: the pydantic model, or another type that pydantic can validate.
    :param data: the values by name.
    :param where: the file, for messages.
    :param prefix: the key of `data` in the file, for messages.
    :param folder: the folder to which paths are relative.
    :raises ConfigError: with all wrong keys, and no values, since they may be secrets.
    """
    context = {"folder": folder} if folder is not None else None
    try:
        return TypeAdapter(model).validate_python(data, context=context)
    except ValidationError as error:
        messages = [_explain(entry, model, prefix) for entry in error.errors(include_input=False)]
    # Outside of `except`: pydantic's error as the cause would show the values.
    raise ConfigError("; ".join(dict.fromkeys(messages)), where=where)


def _explain(error: Any, model: type[Any], prefix: str) -> str:
    """One of pydantic's errors: the key, what is wrong, and the nearest valid name."""
    location: Sequence[str | int] = error["loc"]
    key = ".".join(part for part in (prefix, *map(str, location)) if part)
    if error["type"] == "extra_forbidden":
        valid = _fields_at(model, location[:-1])
        hint = did_you_mean(str(location[-1]), valid) or "there are no keys here"
        return f"{key}: unknown key; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {message[:1].lower()}{message[1:]}" if key else message


def _fields_at(model: Any, location: Sequence[str | int]) -> list[str]:
    """The valid names in the table at `location` inside `model`."""
    for part in location:
        entries = get_args(model)
        if entries:  # a dict or a list, and `part` is a key or an index
            model = entries[1] if get_origin(model) is dict else entries[0]
        elif str(part) in getattr(model, "model_fields", {}):
            model = model.model_fields[str(part)].annotation
    names = getattr(model, "model_fields", {})
    return [name for name in names if name != "path"]
