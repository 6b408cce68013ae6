"""GGUF files: headers, quantization, weights."""
