"""The fingerprint of a model on a server. It contains no secret."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from autocog_core.toolkit import file_hash, is_secret_name, redact_url
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.server_capabilities import ServerCapabilities


def compute_fingerprint(
    options: OpenAIOptions, base_url: str, api: str, capabilities: ServerCapabilities
) -> str:
    """Return a hash of the server, of what it reports, and of the options that may change answers.

    A server may replace the weights behind a name. The fingerprint cannot detect this.

    :param base_url: the server's address.
    :param api: the routes that write text.
    """
    headers = {name.lower(): value for name, value in options.headers.items()}
    parts = (
        redact_url(base_url),
        capabilities.model_dump_json(exclude={"vocabulary", "decision_routes"}),
        api,
        _tokenizer_identity(options.tokenizer),
        options.organization,
        # Secrets are not even hashed: a short one could be guessed from the hash.
        {name: value for name, value in headers.items() if not is_secret_name(name)},
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tokenizer_identity(tokenizer: str | None) -> str | None:
    """Return the hash of a tokenizer file, else the name of the encoding."""
    if tokenizer is None or not os.path.exists(tokenizer):
        return tokenizer
    path = Path(tokenizer)
    return file_hash(path / "tokenizer.json" if path.is_dir() else path)
