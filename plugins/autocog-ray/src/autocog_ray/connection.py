"""The connection to Ray: a cluster that runs, or one that is started here, without its noise."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from collections.abc import Mapping
from typing import Any

import ray

from autocog_core import ConfigError

log = logging.getLogger(__name__)

#: What Ray reads from the environment when it starts, unless the user has set it.
_QUIET = {
    # Nothing is sent to Ray's authors.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray explains a change of its defaults in each process.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
}
#: Batches and results are small. By default, Ray takes a third of the memory.
_STORE_BYTES = 2**28
#: Seconds that the first computer of a cluster has to answer.
_ANSWER_SECONDS = 10.0


def connect(address: str | None = None, processors: int | None = None) -> bool:
    """Connect this process with Ray, unless it is connected.

    :param address: the address of a cluster, "auto" for the one that runs on this computer; None
        starts one here, that ends with `ray.shutdown`.
    :param processors: how many processors a new one has; None for all.
    :returns: whether the connection is new, so that its owner is the caller.
    :raises ConfigError: if there is no such cluster.
    """
    if ray.is_initialized():
        return False
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    _silence_errors()
    # Of a cluster that runs, they are as they are.
    own: dict[str, Any] = {
        "num_cpus": processors,
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }
    try:
        _require_answer(address)
        ray.init(
            address=address or "local",
            **(own if address is None else {}),
            # What workers print is theirs; their warnings come with their results.
            log_to_driver=False,
            configure_logging=True,
            logging_level=logging.ERROR,
        )
    # Ray raises a bare `Exception` if it does not start in time.
    except Exception as error:
        shown = str(error).partition("\n")[0].partition(". ")[0]
        hint = "start a cluster with `ray start --head`, or leave out the address"
        if address is None:
            hint = "try again: this computer may be too busy; see also Ray's log files"
        raise ConfigError(
            f"no connection with Ray: {shown}", where='runner "ray"', hint=hint
        ) from error
    return True


def _require_answer(address: str | None) -> None:
    """Check that somebody listens at HOST:PORT. Ray itself would try for minutes.

    :raises ConnectionError: if nobody does.
    """
    host, _, port = (address or "").rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConnectionError(f"{address} does not answer ({reason})") from error


def _silence_errors() -> None:
    """Log what Ray says about lost workers, in place of printing it: stdout is for results.

    Ray has no option for it.
    """
    module: Any = importlib.import_module("ray._private.worker")
    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = _log_lines


def _log_lines(data: Mapping[str, Any], *arguments: object, **options: object) -> None:
    for line in data.get("lines", ()):
        log.debug("%s", line)
