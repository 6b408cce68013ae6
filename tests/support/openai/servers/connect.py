"""What opens a model on a server, for annotations of tests."""

from __future__ import annotations

from collections.abc import Callable

from autocog_openai import OpenAI

Connect = Callable[..., OpenAI]
