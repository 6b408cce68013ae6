"""What a model on a server is configured with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocog_core import BackendOptions

Api = Literal["auto", "completions", "chat", "responses"]
Server = Literal["auto", "openai", "vllm", "sglang", "llama-server", "generic"]
SERVERS: tuple[Server, ...] = ("openai", "vllm", "sglang", "llama-server", "generic")


class OpenAIOptions(BackendOptions):
    """Options of the backend for OpenAI's API and servers like it."""

    model: str = Field(min_length=1, description="the model's name on the server")
    base_url: str | None = Field(
        None, description="where the server is, /v1 included; none: api.openai.com"
    )
    api_key: str | None = Field(
        None, repr=False, description='"env:NAME"; none: env:OPENAI_API_KEY where it is set'
    )
    organization: str | None = Field(None, description="whom OpenAI bills")
    api: Api = Field("auto", description="which routes write text")
    server: Server = Field("auto", description="what kind of server it is; auto: found out")
    tokenizer: str | None = Field(
        None, description="tiktoken's name of the tokenizer, or a tokenizer.json or its folder"
    )
    max_retries: int = Field(2, ge=0, description="of one request, as the SDK does them")
    timeout: float = Field(120.0, gt=0, description="seconds for one request, from end to end")
    max_concurrency: int = Field(16, ge=1, le=1024, description="requests at once")
    headers: dict[str, str] = Field(
        default_factory=dict, repr=False, description="sent with every request"
    )
    context_length: int | None = Field(
        None, ge=1, description="most tokens in a sequence, where the server does not tell"
    )
    max_tokens: int | None = Field(None, ge=1, description="default of completions")
    temperature: float | None = Field(None, ge=0, description="default of completions")
    reprobe: bool = Field(False, description="find out anew what the server can do")
