"""The process in which llama.cpp quantizes: `python quantize_worker.py REQUEST`, REQUEST as JSON.

llama.cpp ends the process on a failed assertion, and a signal would not reach it before it is done;
`quantize` starts this file for that reason. It imports nothing of autocog's.

Its standard output has one JSON list a line: `["progress", number, count, tensor]`, `["size",
bytes]` before it begins, `["warning", text]`, `["error", text]`, and last `["done", ok]`. When its
standard input ends, the one who waits for it is gone: it removes what it wrote, and ends.
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

# ggml's levels; what is not listed continues the line before.
_LEVELS = {1: "debug", 2: "info", 3: "warning", 4: "error"}
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\] +(\S+)")
_SIZE = re.compile(r"quant size += +([0-9.]+) MiB")


def main() -> None:
    """Quantize as the first argument says."""
    # Ctrl-C ends this process at once (on Windows; elsewhere it gets none): Python would handle it
    # after llama.cpp has returned.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    request = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(request["target"],), daemon=True).start()
    # Only messages go to the standard output: llama.cpp prints there too.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(*message: Any) -> None:
        messages.write(json.dumps(message) + "\n")
        messages.flush()

    send("done", _quantize(request, send))


def _quantize(request: dict[str, Any], send: Any) -> bool:
    import llama_cpp

    log = _Log(send)
    callback = llama_cpp.llama_log_callback(log.take)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = request["ftype"]
    parameters.nthread = request["threads"]
    parameters.allow_requantize = request["requantize"]
    files = os.fsencode(request["source"]), os.fsencode(request["target"])
    # First without writing, for the size of the result.
    for dry in (True, False):
        parameters.dry_run = dry
        log.dry = dry
        if llama_cpp.llama_model_quantize(*files, ctypes.byref(parameters)) != 0:
            return False
    return True


class _Log:
    """llama.cpp's log: it says there how far it is, and why it failed."""

    def __init__(self, send: Any) -> None:
        self.send = send
        self.dry = True
        self.level = "info"
        self.line = ""

    def take(self, level: int, text: bytes, user_data: Any) -> None:
        """One piece of a line."""
        new = _LEVELS.get(level, self.level)
        if new != self.level:
            self.finish()
        self.level = new
        piece = text.decode("utf-8", errors="replace")
        # Sent before llama.cpp works on the tensor: the line ends afterwards.
        if not self.dry and (tensor := _TENSOR.match(piece)):
            self.send("progress", int(tensor[1]), int(tensor[2]), tensor[3])
        self.line += piece
        while "\n" in self.line:
            self.finish()

    def finish(self) -> None:
        """Send what was said in a line."""
        line, _, self.line = self.line.partition("\n")
        # Errors come in frames of such characters.
        line = line.strip(" =-")
        if self.dry and (size := _SIZE.search(line)):
            self.send("size", int(float(size[1]) * 2**20))
        # Both runs say the same.
        elif line and (self.level == "error" or (self.level == "warning" and self.dry)):
            self.send(self.level, line)


def _end_with_parent(target: str) -> None:
    # Not by `sys.stdin`, whose lock a waiting thread would hold when the interpreter ends.
    while os.read(0, 1):
        continue
    with contextlib.suppress(OSError):
        os.unlink(target)
    os._exit(1)


if __name__ == "__main__":
    main()
