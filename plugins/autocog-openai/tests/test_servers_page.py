"""The examples and tables in docs/servers.md and the plugin's README."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

import autocog_core as autocog
from autocog_openai import OpenAIOptions
from autocog_openai.connection.options import Server
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.servers.registry import DIALECTS
from tests.support.openai import servers_table
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.vllm import VLLM

README = Path(__file__).parents[1] / "README.md"
ROWS = servers_table.rows_of(servers_table.PAGE.read_text(encoding="utf-8"))
SERVERS = servers_table.table_servers(Path())
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in (README, servers_table.PAGE)}


def blocks(language: str) -> list[str]:
    pattern = re.compile(rf"```{language}\n(.*?)```", flags=re.DOTALL)
    return [block for text in TEXTS.values() for block in pattern.findall(text)]


def without_versions(row: str) -> str:
    return re.sub(r"the real one \(.*?\)", "the real one", row)


#: Of the real servers; the second takes seconds for each thing that is found out.
MARKS = {"llama-server": pytest.mark.slow, "llama_cpp.server": pytest.mark.soak}


def test_the_table_has_all_servers_in_order() -> None:
    assert list(ROWS) == [server.name for server in SERVERS]
    page = TEXTS["servers.md"]
    assert servers_table.table(ROWS) in page, "python -m tests.support.openai.servers_table"


@pytest.mark.parametrize(
    "name",
    [pytest.param(server.name, marks=MARKS.get(server.name, ())) for server in SERVERS],
)
def test_a_row_matches_the_server(name: str, tmp_path: Path) -> None:
    tokenizer = servers_table.bytes_tokenizer(tmp_path / "tokenizer.json")
    server = next(s for s in servers_table.table_servers(tokenizer) if s.name == name)
    if not servers_table.is_installed(server):
        pytest.skip(f"{server.package} is not installed")
    assert without_versions(servers_table.row(server)) == without_versions(ROWS[name])


def test_rows_differ_where_a_server_offers_less() -> None:
    cells = {name: row.split(" | ")[2:] for name, row in ROWS.items()}
    assert cells["vLLM"] != cells["vLLM, older"]
    assert cells["Ollama"] != cells["without log-probabilities"]


@pytest.mark.parametrize("code", [code for code in blocks("python") if "base_url" in code], ids=len)
def test_python_examples_run(code: str) -> None:
    with serving(VLLM()) as url:
        code = re.sub(r'model="[^"]*"', 'model="random"', code)
        code = re.sub(r'base_url="[^"]*"', f'base_url="{url}/v1"', code)
        exec(code, {})


@pytest.mark.parametrize("text", blocks("toml"), ids=len)
def test_config_examples_are_configs(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r'"\./([^"]+)"', text):
        Path(name).parent.mkdir(parents=True)
        Path(name).touch()
    path = tmp_path / "autocog.toml"
    path.write_text(text, encoding="utf-8")
    config = autocog.read_config(path)
    assert list(config.models) == list(tomllib.loads(text)["models"])
    for name in config.models:
        _, model = config.model(name)
        assert model.backend == "openai"
        assert OpenAIOptions(**model.options).model in text


def test_the_readme_lists_the_options() -> None:
    table = TEXTS["README.md"].split("| option | |", 1)[1].split("\n\n", 1)[0]
    listed = [
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.M)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(listed) == sorted(OpenAIOptions.model_fields)


def test_the_readmes_dialect_overrides_what_the_base_class_has() -> None:
    (code,) = (code for code in blocks("python") if "class MyServerDialect" in code)
    names: dict[str, Any] = {"ServerDialect": ServerDialect}
    exec(code, names)
    dialect = names["MyServerDialect"]
    assert issubclass(dialect, ServerDialect)
    for name, value in vars(dialect).items():
        if inspect.isfunction(value):
            base = inspect.signature(getattr(ServerDialect, name))
            assert list(inspect.signature(value).parameters) == list(base.parameters)
        elif not name.startswith("__"):
            assert name in ServerDialect.__annotations__


def test_the_option_server_has_all_dialects() -> None:
    assert set(get_args(Server)) == {"auto", *DIALECTS}


def test_the_readme_names_the_kinds_of_server() -> None:
    for kind in DIALECTS:
        assert f"`{kind}`" in TEXTS["README.md"]
