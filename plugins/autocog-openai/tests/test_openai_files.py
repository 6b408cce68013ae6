"""Files of the plugin: the stored result of a probe, and tokenizer files."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocog_core.config import cache_folder
from autocog_core.errors import ConfigError
from autocog_openai.tokenizers.load import FileTokenizer
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.openai_api import CHAT, KEY, OpenAIServer
from tests.support.openai.servers.vllm import VLLM


def test_another_number_in_a_stored_result_is_found_out(connect: Connect, tmp_path: Path) -> None:
    server = VLLM()
    first = connect(server).as_model().info
    (path,) = (tmp_path / "cache" / "openai" / "servers").iterdir()
    content = path.read_bytes()
    damaged = content.replace(b'"bos":', b'"bos":1')
    assert damaged != content
    path.write_bytes(damaged)
    assert connect(server).as_model().info == first
    assert path.read_bytes() == content


def test_a_result_that_cannot_be_stored_is_a_warning(
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "file"))
    cache_folder._warned.clear()
    for _ in range(2):
        assert connect(VLLM()).as_model().info.details["token_logprobs"] is True
    assert len([record for record in caplog.records if "cache folder" in record.message]) == 1


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("./none.json", "there is no file or folder"),
        ("$HOME/tokenizer.json", "variables such as"),
        ("~no_such_user/tokenizer.json", 'no user "no_such_user"'),
    ],
)
def test_a_tokenizer_that_can_only_be_a_path_must_exist(
    connect: Connect, value: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"tokenizer: .*{problem}"):
        connect(OpenAIServer(), model=CHAT, tokenizer=value, server="openai", api_key=KEY)


def test_a_tokenizer_file_may_have_a_byte_order_mark(byte_tokenizer: str, tmp_path: Path) -> None:
    marked = tmp_path / "tokenizer.json"
    marked.write_bytes(b"\xef\xbb\xbf" + Path(byte_tokenizer).read_bytes())
    plain, same = FileTokenizer(Path(byte_tokenizer)), FileTokenizer(marked)
    assert same.tokenize("é", parse_special=False) == plain.tokenize("é", parse_special=False)
