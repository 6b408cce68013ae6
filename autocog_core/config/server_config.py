"""The table `[server]` of the config file: settings of `autocog serve`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from autocog_core.config.options import FilePath

#: Bytes in a mebibyte.
MIB = 1024 * 1024
#: Bytes of the first line and the headers of a request; this is no setting.
MAX_HEADER_BYTES = 64 * 1024


class ServerLimits(BaseModel):
    """The table `[server.limits]`: how much one request, and all together, may ask for.

    :ivar connections: connections at one time.
    :ivar header_seconds: time in which the headers of a request must arrive.
    :ivar body_bytes: size of a request's body.
    :ivar body_seconds: time in which the body must arrive.
    :ivar send_seconds: time after which a client must have taken more of its answer.
    :ivar request_seconds: time in which an answer must be ready; the work ends after it.
    :ivar waiting: calls that may wait for the models; with so many, requests are refused (429).
    :ivar together: waiting calls that an engine gets as one call; other clients wait for its end.
    :ivar questions: questions, prompts or rows in one request.
    :ivar options: choices of one question.
    :ivar choices: choices of all questions of one request together.
    :ivar paths: paths that one run of a program may start; it then returns the tree so far.
    :ivar nodes: nodes that one path of a run may have; likewise.
    :ivar output_tokens: tokens that one completion may have.
    :ivar shutdown_seconds: time for what is under way when the server stops.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    connections: int = Field(default=512, ge=1)
    header_seconds: float = Field(default=10.0, gt=0)
    body_bytes: int = Field(default=16 * MIB, ge=1024)
    body_seconds: float = Field(default=30.0, gt=0)
    send_seconds: float = Field(default=30.0, gt=0)
    request_seconds: float = Field(default=600.0, gt=0)
    waiting: int = Field(default=1024, ge=1)
    together: int = Field(default=64, ge=1)
    questions: int = Field(default=1000, ge=1)
    options: int = Field(default=10_000, ge=2)
    choices: int = Field(default=100_000, ge=2)
    paths: int = Field(default=1000, ge=1)
    nodes: int = Field(default=10_000, ge=1)
    output_tokens: int = Field(default=4096, ge=1)
    shutdown_seconds: float = Field(default=30.0, ge=0)


def _check_origin(origin: str) -> str:
    """Return an origin as browsers send it: without a path, and in lower case."""
    parts = urlsplit(origin.lower().removesuffix("/"))
    if origin != "*" and (parts.geturl() != f"{parts.scheme}://{parts.netloc}" or not parts.netloc):
        raise PydanticCustomError(
            "origin", "expected an origin without a path, such as https://app.example"
        )
    return origin if origin == "*" else parts.geturl()


def _check_host(host: str) -> str:
    """Return the name of a host as it is compared: without brackets, port, and last dot."""
    name = host.removeprefix("[").removesuffix("]").rstrip(".")
    has_port = ":" in name and (name.count(":") == 1 or "]" in name)
    if not name or has_port or set(name) & set("/@ "):
        raise PydanticCustomError("host", "expected a name alone, such as api.example")
    return name


class ServerConfig(BaseModel):
    """The table `[server]`.

    :ivar host: the address on which the server listens.
    :ivar port: its port; 0 takes a free one.
    :ivar keys: keys of clients, each `env:NAME`; with none, every request is answered.
    :ivar origins: origins of web pages that may call the server (CORS), such as
        "https://app.example"; none by default.
    :ivar hosts: names by which clients may call the server, beside those of this computer. Without
        them, a server on a loopback address that needs no key answers only for the names of this
        computer, and all others answer for every name.
    :ivar programs: a folder with programs that clients may run by name.
    :ivar templates: by model: the file of the template that makes a text of a question.
    :ivar access_log: the file of the access log; "-" is standard output. None by default.
    :ivar log_prompts: whether the access log holds the bodies of requests.
    :ivar limits: the limits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535)
    keys: tuple[str, ...] = ()
    origins: tuple[Annotated[str, AfterValidator(_check_origin)], ...] = ()
    hosts: tuple[Annotated[str, AfterValidator(_check_host)], ...] = ()
    programs: FilePath | None = None
    templates: dict[str, FilePath] = Field(default_factory=dict)
    access_log: str | None = None
    log_prompts: bool = False
    limits: ServerLimits = ServerLimits()
