"""Other names of backends: what people call the engines and servers that a backend runs.

A plugin that has one of these names comes first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackendAlias:
    """What another name of a backend stands for.

    :ivar backend: the backend's name.
    :ivar title: what the name means, for messages.
    :ivar base_url: for a server, where it listens if it was started without options.
    """

    backend: str
    title: str
    base_url: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options that the name stands for."""
        return {} if self.base_url is None else {"base_url": self.base_url}


_TRANSFORMERS = BackendAlias("tf", "Hugging Face Transformers")
_LLAMA_CPP = BackendAlias("llamacpp", "llama.cpp")
_VLLM = BackendAlias("openai", "vLLM", "http://localhost:8000/v1")
_SGLANG = BackendAlias("openai", "SGLang", "http://localhost:30000/v1")
_OLLAMA = BackendAlias("openai", "Ollama", "http://localhost:11434/v1")
_LLAMA_SERVER = BackendAlias("openai", "llama-server", "http://localhost:8080/v1")
_LM_STUDIO = BackendAlias("openai", "LM Studio", "http://localhost:1234/v1")

#: The names in small letters.
BACKEND_ALIASES: dict[str, BackendAlias] = {
    "transformers": _TRANSFORMERS,
    "hf": _TRANSFORMERS,
    "huggingface": _TRANSFORMERS,
    "llama.cpp": _LLAMA_CPP,
    "llama-cpp": _LLAMA_CPP,
    "llama_cpp": _LLAMA_CPP,
    "llama-cpp-python": _LLAMA_CPP,
    "gguf": _LLAMA_CPP,
    "vllm": _VLLM,
    "sglang": _SGLANG,
    "ollama": _OLLAMA,
    "llama-server": _LLAMA_SERVER,
    "lmstudio": _LM_STUDIO,
    "lm-studio": _LM_STUDIO,
}
