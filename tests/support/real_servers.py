"""Real servers with SmolLM2, each in a separate process that ends with the test."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

HERE = Path(__file__).parent
START_SECONDS = 120


@contextmanager
def llama_server(
    model: Path, *, slots: int = 4, context: int = 8192, exact: bool = False
) -> Iterator[str]:
    """Run llama-server and yield its URL.

    :param context: total number of tokens of all slots.
    """
    command = [sys.executable, str(HERE / "llama_server.py"), str(model)]
    command += ["--slots", str(slots), "--context", str(context), *(["--exact"] if exact else [])]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "llama-server did not start"
        wait_for(url + "/health", process)
        yield url
    finally:
        process.kill()
        process.communicate()


@contextmanager
def llama_cpp_server(model: Path) -> Iterator[str]:
    """Run the server of llama-cpp-python, with the logits of all positions, and yield its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model)]
    command += ["--n_ctx", "1024", "--port", str(port), "--host", "127.0.0.1"]
    command += ["--logits_all", "true", "--verbose", "false"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/v1/models", process)
        yield url
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Wait until the server responds."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the server stopped"
        try:
            if httpx2.get(url, timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the server did not respond in time")
