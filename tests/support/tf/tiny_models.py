"""Tiny models of several architectures with random weights, and their tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as tf
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from autocog_tf.engine import TfEngine

CORPUS = [
    "The capital of France is Paris. The capital of Italy is Rome.",
    "Answer: Paris, France\nAnswer: the inclined plane\nQuestion: which machine is it?",
    "1 10 100 1000 2024 naïve café 東京 😀 the and that there their then",
]


def byte_level_tokenizer(**options: Any) -> Any:
    """Return a small byte-level BPE tokenizer with the usual special tokens; it adds no BOS."""
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator(CORPUS * 4, trainer)
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, bos_token="<|im_start|>", eos_token="<|im_end|>", **options
    )


def sentencepiece_tokenizer() -> Any:
    """Return a tokenizer like that of Llama 2: it adds BOS and a first blank, bytes are <0x0A>."""
    letters = sorted({c for text in CORPUS for c in text if c.isascii() and c.isprintable()})
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "\u2581", *letters]
    pieces = list(dict.fromkeys("\u2581" if p == " " else p for p in pieces))
    merges = [("t", "h"), ("th", "e"), ("\u2581", "the"), ("\u2581", "P"), ("a", "r"), ("i", "s")]
    merges += [("\u2581P", "ar"), ("\u2581Par", "is"), ("1", "0"), ("10", "0"), ("\u2581", "a")]
    pieces += [a + b for a, b in merges]
    rust = Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    rust.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    rust.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    from tokenizers.processors import TemplateProcessing

    rust.add_special_tokens([AddedToken(name, special=True) for name in ("<unk>", "<s>", "</s>")])
    rust.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def _config(**options: Any) -> dict[str, Any]:
    return {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **options,
    }


def _llama() -> Any:
    return tf.LlamaForCausalLM(tf.LlamaConfig(**_config()))


def _gpt2() -> Any:
    config = tf.GPT2Config(
        vocab_size=512,
        n_positions=512,
        n_embd=64,
        n_layer=3,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
    )
    return tf.GPT2LMHeadModel(config)


def _qwen3() -> Any:
    return tf.Qwen3ForCausalLM(tf.Qwen3Config(**_config(head_dim=16)))


def _gemma3() -> Any:
    layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    config = tf.Gemma3TextConfig(
        **_config(head_dim=16, sliding_window=8, layer_types=layer_types, query_pre_attn_scalar=16)
    )
    return tf.Gemma3ForCausalLM(config)


def _mistral() -> Any:
    return tf.MistralForCausalLM(tf.MistralConfig(**_config(sliding_window=8, head_dim=16)))


def _mamba() -> Any:
    config = tf.MambaConfig(
        vocab_size=512,
        hidden_size=64,
        num_hidden_layers=3,
        state_size=8,
        bos_token_id=1,
        eos_token_id=2,
    )
    return tf.MambaForCausalLM(config)


def _mamba2() -> Any:
    config = tf.Mamba2Config(
        vocab_size=512,
        hidden_size=64,
        num_hidden_layers=2,
        state_size=8,
        num_heads=8,
        head_dim=16,
        n_groups=1,
        expand=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return tf.Mamba2ForCausalLM(config)


def _qwen3_next() -> Any:
    config = tf.Qwen3NextConfig(
        **_config(
            head_dim=16,
            num_hidden_layers=2,
            layer_types=["linear_attention", "full_attention"],
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
            num_experts=0,
            decoder_sparse_step=1,
        )
    )
    return tf.Qwen3NextForCausalLM(config)


MODELS: dict[str, Callable[[], Any]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "qwen3": _qwen3,
    "gemma3": _gemma3,
    "mistral": _mistral,
    "mamba": _mamba,
    "mamba2": _mamba2,
    "qwen3_next": _qwen3_next,
}


def tiny_model(name: str, seed: int = 0, scale: float = 20.0) -> Any:
    """Return a float32 model with random weights; `scale` spreads its logits to show errors."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[name]().eval()
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(scale)
    return model


def tiny_engine(name: str = "llama", **options: Any) -> TfEngine:
    """Return an engine over a tiny model and the byte-level tokenizer."""
    return TfEngine(tiny_model(name), byte_level_tokenizer(), **options)
