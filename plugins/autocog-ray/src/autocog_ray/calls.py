"""Results of the workers' calls, and what a cluster has."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from autocog_core import AutocogError, EngineError


class WorkerLostError(EngineError):
    """The process or the node of a worker is lost."""


def result_of(reference: Any) -> Any:
    """Return the result of a call of a worker.

    :raises AutocogError: the error of the call.
    :raises WorkerLostError: if the worker is lost.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AutocogError):
            raise cause from None
        raise EngineError(f"a worker raised {type(cause).__name__}: {cause}") from error
    except RayError as error:
        # What follows are ids.
        reason = " ".join(str(error).partition("class_name:")[0].split())[:200]
        raise WorkerLostError(f"a worker of Ray is lost: {reason}", where='runner "ray"') from error


def describe_resources() -> str:
    """Return what a cluster has, and what of it is free."""
    total, free = ray.cluster_resources(), ray.available_resources()
    names = [name for name in ("CPU", "GPU") if name in total]
    return ", ".join(f"{free.get(name, 0):g} of {total[name]:g} {name}s are free" for name in names)
