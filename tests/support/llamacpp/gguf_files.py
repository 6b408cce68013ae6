"""Small .gguf files, written with the `gguf` package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

WIDTH = 256
TOKENS = [
    "<unk>",
    "<s>",
    "</s>",
    *(chr(0x61 + i) for i in range(26)),
    *(f"w{i}" for i in range(35)),
]


def weights(seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors of a llama with one layer. Rows of 256 fit every type."""
    random = np.random.default_rng(seed)

    def matrix(rows: int) -> np.ndarray[Any, Any]:
        return random.normal(0, 0.1, (rows, WIDTH)).astype(np.float32)

    names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    return {
        "token_embd.weight": matrix(len(TOKENS)),
        "output_norm.weight": np.ones(WIDTH, np.float32),
        "blk.0.attn_norm.weight": np.ones(WIDTH, np.float32),
        "blk.0.ffn_norm.weight": np.ones(WIDTH, np.float32),
        **{f"blk.0.{name}.weight": matrix(WIDTH) for name in names},
    }


def write(path: Path, kind: Type = Type.F32, architecture: str = "llama", **metadata: Any) -> Path:
    """Write a llama with random weights of one type.

    :param metadata: more metadata; two underscores stand for a dot in a key.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(TOKENS))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages }}")
    for key, value in metadata.items():
        name = key.replace("__", ".")
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        else:
            writer.add_array(name, value)
    for name, tensor in weights().items():
        matrix = tensor.ndim > 1 and kind is not Type.F32
        data = gguf.quants.quantize(tensor, kind) if matrix else tensor
        writer.add_tensor(name, data, raw_dtype=kind if matrix else None)
    return finish(writer, path)


def bare(path: Path, **numbers: int) -> Path:
    """Write a file without tensors, and without metadata except `numbers`."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in numbers.items():
        writer.add_uint32(key.replace("__", "."), value)
    return finish(writer, path)


def finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    """Write the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
