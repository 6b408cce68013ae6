from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from autocog_core import BackendOptions, EngineError, ModelLoadError, load, read_config, redaction
from autocog_core.backends.random import RandomLM

SECRET = "sk-0123456789-very-secret"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known_secrets", set())
    monkeypatch.setenv("MY_KEY", SECRET)


def test_no_form_of_an_error_contains_a_secret() -> None:
    assert redaction.from_environment("env:MY_KEY") == SECRET
    error = EngineError(f"refused {SECRET}", where=f"at {SECRET}", hint=f"not {SECRET}")
    forms = [str(error), repr(error), repr(error.args), "".join(traceback.format_exception(error))]
    assert not [form for form in forms if SECRET in form]
    assert "***" in str(error)


def test_a_secret_that_contains_another_is_removed_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHORT", "sk-012")
    redaction.from_environment("env:SHORT")
    redaction.from_environment("env:MY_KEY")
    assert redaction.redact(f"<{SECRET}><sk-012>") == "<***><***>"


def test_an_unset_or_empty_variable_is_not_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    assert not redaction.from_environment("env:EMPTY")
    assert redaction.from_environment("env:NOT_SET_AT_ALL") is None
    assert redaction.redact("plain text") == "plain text"


def write(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "autocog.toml"
    path.write_text(body, encoding="utf-8")
    return path


def test_the_repr_of_the_config_has_no_secret(tmp_path: Path) -> None:
    path = write(tmp_path, '[models.m]\nbackend = "random"\noptions = { seed = "env:MY_KEY" }\n')
    assert SECRET not in repr(read_config(path))


def test_a_secret_of_the_wrong_type_is_not_in_the_message(tmp_path: Path) -> None:
    path = write(tmp_path, '[models.m]\nbackend = "random"\noptions = { seed = "env:MY_KEY" }\n')
    with pytest.raises(Exception, match=r"models\.m\.options\.seed") as caught:
        load(config=path)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_secret_in_an_error_of_the_engine_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(**options: Any) -> Any:
        raise ValueError(f"bad key {SECRET}")

    monkeypatch.setattr(RandomLM, "create", create)
    monkeypatch.setenv("SEED", "17")
    path = write(tmp_path, '[models.m]\nbackend = "random"\noptions = { seed = "env:SEED" }\n')
    redaction.from_environment("env:MY_KEY")
    with pytest.raises(ModelLoadError) as caught:
        load(config=path)
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_a_literal_key_in_an_error_of_the_engine_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyed(RandomLM):
        class Options(BackendOptions):
            api_key: str
            bearer: str = Field(repr=False)
            url: str

        @classmethod
        def create(cls, **options: Any) -> Any:
            raise ValueError(f"refused: {options}")

    monkeypatch.setattr("autocog_core.config.plugins.load_class", lambda name, group="": Keyed)
    options = '{ api_key = "openly-1", bearer = "openly-2", url = "https://openly-3@host" }'
    path = write(tmp_path, f'[models.m]\nbackend = "random"\noptions = {options}\n')
    with pytest.raises(ModelLoadError, match=r"\*\*\*@host") as caught:
        load(config=path)
    assert "openly" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://host/v1?model=m", "https://host/v1?model=m"),
        ("https://a:b@host:80/v1", "https://***@host:80/v1"),
        ("https://a@host/@home", "https://***@host/@home"),
        ("http://host?monkey=1&key=1&x", "http://host?monkey=1&key=***&x"),
        ("http://host?api%5Fkey=1#key=1", "http://host?api%5Fkey=***#key=1"),
        ("http://[half", "http://[half"),
        ("me@host", "me@host"),
    ],
)
def test_secrets_in_urls_are_redacted(url: str, redacted: str) -> None:
    assert redaction.redact_url(url) == redacted
