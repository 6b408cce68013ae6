"""What identifies a model on a server: all that it is known by, and nothing that is secret."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from autocog_core.toolkit import file_hash, is_secret_name, redact_url
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.server_capabilities import Facts


def of(options: OpenAIOptions, base_url: str, api: str, facts: Facts) -> str:
    """Hash of the server, what it says of the model, and of options that may change answers.

    Weights behind a name may change unseen.
    """
    headers = {name.lower(): value for name, value in options.headers.items()}
    parts = (
        redact_url(base_url),
        facts.model_dump_json(exclude={"surfaces"}),
        api,
        _encoding(options.tokenizer),
        options.organization,
        # Not even hashed: a short secret could be guessed until its hash is the same.
        {name: value for name, value in headers.items() if not is_secret_name(name)},
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _encoding(given: str | None) -> str | None:
    """A tokenizer by its content, wherever its file is; else by its name."""
    path = Path(given or "").expanduser()
    if given is None or not path.exists():
        return given
    return file_hash(path / "tokenizer.json" if path.is_dir() else path)
