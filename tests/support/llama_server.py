"""Run llama-server of the PyPI package xllamacpp in this process, and print its address.

    python llama_server.py MODEL.gguf [--context 8192] [--slots 4]

It ends when its standard input closes, so that no process outlives its test.
"""

from __future__ import annotations

import argparse
import sys

import xllamacpp


def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--exact", action="store_true", help="no flash attention, cache in float32")
    arguments = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    params.n_ctx = arguments.context
    params.n_parallel = arguments.slots
    params.port = 0
    params.hostnames = ["127.0.0.1"]
    if arguments.exact:
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
