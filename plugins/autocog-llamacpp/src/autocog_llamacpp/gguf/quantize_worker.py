"""The worker process of `quantize`: `python quantize_worker.py REQUEST`, with a request in JSON.

llama.cpp aborts the process on a failed assertion, and handles signals only when it is done.
Therefore it runs in a worker process. This file imports nothing of autocog.

The worker writes JSON lists to its standard output, one on each line: `["size", bytes]` before it
starts, `["progress", position, count, tensor]`, `["warning", text]`, `["error", text]`, and at the
end `["done", succeeded]`. If its standard input ends, the parent is gone: the worker removes the
target and ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import threading
from typing import Any

# By ggml's levels. Other levels continue the previous line.
_LEVELS = {1: "debug", 2: "info", 3: "warning", 4: "error"}
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\] +(\S+)")
_SIZE = re.compile(r"quant size += +([0-9.]+) MiB")


def main() -> None:
    """Quantize; the first argument is the request."""
    # On Windows, Ctrl-C must end this process at once: Python would wait for llama.cpp. On other
    # systems, the process gets no Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    request = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(request["target"],), daemon=True).start()
    # llama.cpp also prints to the standard output: redirect its output to stderr.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(*message: Any) -> None:
        messages.write(json.dumps(message) + "\n")
        messages.flush()

    send("done", _quantize(request, send))


def _quantize(request: dict[str, Any], send: Any) -> bool:
    import llama_cpp

    log = _Log(send)
    callback = llama_cpp.llama_log_callback(log.receive)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = request["ftype"]
    parameters.nthread = request["threads"]
    parameters.allow_requantize = request["requantize"]
    files = os.fsencode(request["source"]), os.fsencode(request["target"])
    # The first run only computes the size of the result.
    for dry_run in (True, False):
        parameters.dry_run = dry_run
        log.dry_run = dry_run
        if llama_cpp.llama_model_quantize(*files, ctypes.byref(parameters)) != 0:
            return False
    return True


class _Log:
    """Reads the progress and the errors from llama.cpp's log."""

    def __init__(self, send: Any) -> None:
        self.send = send
        self.dry_run = True
        self.level = "info"
        self.line = ""

    def receive(self, level: int, text: bytes, user_data: Any) -> None:
        """Process a part of a line."""
        level_name = _LEVELS.get(level, self.level)
        if level_name != self.level:
            self.finish_line()
        self.level = level_name
        part = text.decode("utf-8", errors="replace")
        # llama.cpp ends this line only after it has processed the tensor.
        if not self.dry_run and (tensor := _TENSOR.match(part)):
            self.send("progress", int(tensor[1]), int(tensor[2]), tensor[3])
        self.line += part
        while "\n" in self.line:
            self.finish_line()

    def finish_line(self) -> None:
        """Send the information of a line."""
        line, _, self.line = self.line.partition("\n")
        # Errors are framed with these characters.
        line = line.strip(" =-")
        if self.dry_run and (size := _SIZE.search(line)):
            self.send("size", int(float(size[1]) * 2**20))
        # Both runs log the same warnings.
        elif line and (self.level == "error" or (self.level == "warning" and self.dry_run)):
            self.send(self.level, line)


def _end_with_parent(target: str) -> None:
    # Not `sys.stdin`: this thread would hold its lock when the interpreter ends.
    while os.read(0, 1):
        continue
    with contextlib.suppress(OSError):
        os.unlink(target)
    os._exit(1)


if __name__ == "__main__":
    main()
