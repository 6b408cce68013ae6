"""The options of a model on a server."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocog_core import BackendOptions, Resource

Api = Literal["auto", "completions", "chat", "responses"]
#: "auto", and the names of the dialects in `servers/`.
Server = Literal["auto", "autocog", "openai", "vllm", "sglang", "llama-server", "generic"]


class OpenAIOptions(BackendOptions):
    """Options of the backend for OpenAI's API and compatible servers."""

    model: str = Field(min_length=1, description="the model's name on the server")
    base_url: str | None = Field(
        None, description="the server's address, including /v1; default: OpenAI's"
    )
    api_key: str | None = Field(
        None, repr=False, description='"env:NAME"; default: env:OPENAI_API_KEY if it is set'
    )
    organization: str | None = Field(None, description="the organization that OpenAI bills")
    api: Api = Field("auto", description="the routes that write text")
    server: Server = Field("auto", description="the kind of server; auto: recognized by probing")
    tokenizer: Resource | None = Field(
        None, description="name of a tiktoken encoding, or path of a tokenizer.json or its folder"
    )
    max_retries: int = Field(2, ge=0, description="how often the SDK retries a failed request")
    timeout: float = Field(
        120.0, gt=0, description="seconds for one request; for a stream, for each piece of text"
    )
    max_concurrency: int = Field(16, ge=1, le=1024, description="maximum of simultaneous requests")
    headers: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description='HTTP headers of every request; "env:NAME" for a key',
    )
    context_length: int | None = Field(
        None, ge=1, description="maximum of tokens in a sequence, if the server does not report it"
    )
    max_tokens: int | None = Field(None, ge=1, description="default for completions")
    temperature: float | None = Field(None, ge=0, description="default for completions")
    reprobe: bool = Field(False, description="probe the server again")
