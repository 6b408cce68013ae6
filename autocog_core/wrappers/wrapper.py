"""What wrappers share: their contract, the place they are told, and files named in their options.

A base class for authors, not a requirement: any object with hook implementations can wrap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ValidationInfo

from autocog_core.config.options import BackendOptions
from autocog_core.errors import UsageError
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.model.wrapper_context import WrapperContext

#: Options of a wrapper: unknown names are refused.
WrapperOptions = BackendOptions


class Wrapper:
    """A wrapper of one model.

    :cvar handles_inner_calls: what it does at `choose` it does as well at the calls by which core
        answers one, so that core may answer many choices together, without a `choose` for each.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Options: ClassVar[type[WrapperOptions]] = WrapperOptions
    handles_inner_calls: ClassVar[bool] = False

    _attached: WrapperContext | None = None

    def attach(self, place: WrapperContext) -> None:
        """Called once, by the model.

        :raises UsageError: if it wraps a model already.
        """
        if self._attached is not None:
            raise UsageError(
                f"it wraps {self._attached.name} already",
                where=f"wrapper {type(self).__name__}",
                hint="make one for each model",
            )
        self._attached = place

    # A method, not a property: pluggy reads every attribute of what it registers.
    def place(self) -> WrapperContext:
        """The model it wraps, and what answers below it."""
        assert self._attached is not None, "hooks are called by models"
        return self._attached


def _relative(path: Path, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", Path()), path.expanduser())


#: A file which need not exist; relative to the config file where it is named in one.
FilePath = Annotated[Path, AfterValidator(_relative)]
