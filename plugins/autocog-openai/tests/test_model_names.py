"""Which model is asked, at which address, with which headers; and what identifies it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner

from autocog_core.cli.main import app as command_line
from autocog_core.errors import AutocogError, ConfigError
from autocog_openai import OpenAI
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import NotFoundError
from autocog_openai.connection.options import OpenAIOptions
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.raw import raw_serving, whole
from tests.support.openai.servers.scripted import refusal
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM

MESSAGES = [{"role": "user", "content": "Tell me."}]
Change = Callable[[dict[str, Any]], Any]


class Listing:
    """Changes the listing of a server."""

    def __init__(self, app: Any, change: Change) -> None:
        self.app, self.change = app, change

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/v1/models"):
            request = Request(scope, receive)
            card = {"id": "random", "object": "model", "owned_by": "library", "created": 0}
            answer = self.change({**card, "name": request.url.path})
            response = answer if isinstance(answer, Response) else JSONResponse(answer)
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)


UNLISTED: dict[str, Change] = {
    "others only": lambda card: {"data": [{**card, "id": "mine"}, {**card, "id": "yours"}]},
    "an empty list": lambda card: {"data": []},
    "nobody may list": lambda card: refusal(403, "this key may not list"),
    "an unknown key for listing": lambda card: refusal(401, "no"),
    "no such route": lambda card: refusal(404, "no"),
    "odd entries": lambda card: {"data": [{"id": 5, "aliases": 7}, {"aliases": "random"}, 3, None]},
    "no list": lambda card: {"data": {"random": card}},
    "a number": lambda card: 7,
}


@pytest.mark.parametrize("name", UNLISTED)
def test_a_model_that_is_not_listed_is_asked(connect_chat: Connect, name: str) -> None:
    """Deployments, aliases and names with a suffix are often not listed."""
    server = Generic(Engine(), model_name="random:free")
    model = connect_chat(Listing(server, UNLISTED[name]), model="random:free", max_retries=0)
    assert model.complete(messages=MESSAGES, max_tokens=2, temperature=0).text
    assert model.as_model().info.details["chat_max_top_logprobs"] == 20


@pytest.mark.parametrize("make", [VLLM, SGLang])
def test_the_kind_of_server_is_known_by_its_other_models(connect: Connect, make: Any) -> None:
    owner = "vllm" if make is VLLM else "sglang"
    server = make(Engine(), model_name="an-alias")
    listing = Listing(server, lambda card: {"data": [{**card, "owned_by": owner}]})
    info = connect(listing, model="an-alias", max_retries=0).as_model().info
    assert info.details["server"] == owner
    assert info.details["token_logprobs"] is True


@pytest.mark.parametrize("make", [Generic, VLLM])
def test_only_the_servers_own_refusal_means_that_there_is_no_such_model(
    connect_chat: Connect, make: Any
) -> None:
    server = make(Engine(), model_name="mine")
    owner = "vllm" if make is VLLM else "library"
    card = {"id": "mine", "owned_by": owner}
    model = connect_chat(Listing(server, lambda _: {"data": [card]}), model="my", max_retries=0)
    with pytest.raises(NotFoundError, match="no model 'my'") as caught:
        model.complete(messages=MESSAGES, max_tokens=2)
    assert caught.value.hint == "it has: mine"
    # The server's own words.
    assert "404" in caught.value.message
    assert server.log.paths.count("/v1/chat/completions") in (0, 1)


def test_another_refusal_of_an_unlisted_model_is_that_refusal(connect_chat: Connect) -> None:
    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        await refusal(400, "the deployment is paused")(scope, receive, send)

    listing = Listing(refuses, UNLISTED["others only"])
    with pytest.raises(AutocogError, match="400: the deployment is paused"):
        connect_chat(listing, max_retries=0).complete(messages=MESSAGES, max_tokens=2)


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"value": "loading"}},
        {"pricing": {"prompt": "0.1"}, "description": "now better", "created": 7},
        {"permission": [{"id": "p-2"}], "loaded": True, "last_used": 1.5},
        {"meta": {"n_vocab": 3, "uptime": 9, "requests": 3}},
    ],
)
def test_a_listing_that_changes_while_the_model_does_not_is_no_other_model(
    connect_chat: Connect, change: dict[str, Any]
) -> None:
    server, more = Generic(), {"meta": {"n_vocab": 3, "uptime": 1}} if "meta" in change else {}
    listing = Listing(server, lambda card: {"data": [{**card, **more}]})
    with serving(listing) as url:
        before = connect_chat(listing, base_url=f"{url}/v1").as_model().info
        server.log.clear()
        more = change
        after = connect_chat(listing, base_url=f"{url}/v1").as_model().info
    assert after.fingerprint == before.fingerprint
    # Only the listing was asked for, which this server does not log.
    assert server.log.paths == []


@pytest.mark.parametrize(
    "change",
    [
        {"root": "another/model"},
        {"parent": "base"},
        {"max_model_len": 77},
        {"digest": "sha256:2"},
        {"meta": {"n_vocab": 4}},
    ],
)
def test_another_model_under_the_same_name_is_probed_again(
    connect_chat: Connect, change: dict[str, Any]
) -> None:
    server, more = Generic(), dict[str, Any]()
    listing = Listing(server, lambda card: {"data": [{**card, **more}]})
    with serving(listing) as url:
        before = connect_chat(listing, base_url=f"{url}/v1").as_model().info
        server.log.clear()
        more = change
        after = connect_chat(listing, base_url=f"{url}/v1").as_model().info
    assert after.fingerprint != before.fingerprint
    assert len(server.log.paths) > 3


QUERY = "api-version=2024-10-21&tag=a&tag=b%20c"


def test_the_query_of_an_address_goes_with_every_request() -> None:
    with raw_serving(whole({"ok": True})) as server:
        options = {"model": "d", "base_url": f"{server.url}/openai/deployments/d/?{QUERY}"}
        opened = Connection(OpenAIOptions(**options, max_retries=0, timeout=5))
        opened.get("v1/models")
        opened.post("v1/chat/completions", {})
        opened.post("/tokenize", {})
        with (
            pytest.raises(AutocogError),
            opened.stream("v1/chat/completions", {}, progress=lambda: 0) as events,
        ):
            list(events)
        opened.close()
    assert [request.target for request in server.requests] == [
        f"/openai/deployments/d/models?{QUERY}",
        f"/openai/deployments/d/chat/completions?{QUERY}",
        f"/openai/deployments/d/tokenize?{QUERY}",
        f"/openai/deployments/d/chat/completions?{QUERY}",
    ]


@pytest.mark.parametrize("with_doctor", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_deployment_with_its_own_path_key_and_version_works(
    with_doctor: bool, byte_tokenizer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on Azure: no listing, a version in the query, and the key in a header of its own."""
    monkeypatch.setenv("MY_KEY", "a-key-for-deployments")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
    server = Generic(Engine(), model_name="d")

    async def deployment(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        assert request.query_params["api-version"] == "1"
        if request.headers.get("api-key") != "a-key-for-deployments":
            await refusal(401, "no key")(scope, receive, send)
        elif scope["path"].endswith("/models"):
            await refusal(404, "Resource not found")(scope, receive, send)
        else:
            path = scope["path"].replace("/openai/deployments/d", "/v1")
            await server({**scope, "path": path}, receive, send)

    with serving(deployment) as url:
        folder = tmp_path / "project"
        folder.mkdir()
        monkeypatch.chdir(folder)
        (folder / "autocog.toml").write_text(
            'default_model = "remote"\n[models.remote]\nbackend = "openai"\n'
            f'[models.remote.options]\nmodel = "d"\ntokenizer = "{byte_tokenizer}"\n'
            f'base_url = "{url}/openai/deployments/d?api-version=1"\n'
            'headers = {api-key = "env:MY_KEY"}\n'
        )
        command = ["choose", "Yes or no?", "-c", "yes", "-c", "no", "--json"]
        outputs = [CliRunner().invoke(command_line, command)]
        assert outputs[0].exit_code == 0, outputs[0].output
        if with_doctor:
            outputs.append(CliRunner().invoke(command_line, ["doctor", "remote"]))
        monkeypatch.setenv("MY_KEY", "a-wrong-key-for-all")
        outputs.append(CliRunner().invoke(command_line, command))
        assert "401" in outputs[-1].output
    for output in outputs:
        assert "key-for" not in output.output.replace("MY_KEY", "")
    for request in server.log.requests:
        # The key of another server stays where it is.
        assert "authorization" not in request.headers


def test_headers_are_secrets_in_messages() -> None:
    headers = {"api-key": "a-secret-of-mine", "Authorization": "Bearer another-secret-too"}

    def answer(sock: Any, request: Any) -> None:
        sent = f"{request.headers['api-key']}, {request.headers['authorization'].split()[1]}"
        whole({"error": {"message": f"bad: {sent}"}}, status=400)(sock, request)

    with raw_serving(answer) as server:
        options = OpenAIOptions(
            model="m", base_url=f"{server.url}/v1", headers=headers, max_retries=0
        )
        opened = Connection(options)
        with pytest.raises(AutocogError, match=r"bad: \*\*\*, \*\*\*"):
            opened.get("v1/models")
        opened.close()
    assert "secret" not in repr(options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": {"api-key": "env:NOT_THERE"}}, "NOT_THERE is not set"),
        ({"headers": {"api-key": "two\nlines-of-a-secret"}}, "cannot have"),
        ({"headers": {"api-key": "a-s\u00e9cret"}}, "cannot have"),
        ({"api_key": "sk-two\nlines-of-a-secret"}, "cannot have"),
    ],
)
def test_a_header_that_cannot_be_sent_is_an_error(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        OpenAI(model="m", base_url="http://127.0.0.1:9/v1", **options)
    assert "secret" not in str(caught.value)
    assert next(iter(options)).startswith(caught.value.where.split(".")[0])


def test_a_key_with_a_line_break_at_its_end_is_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """As read from a file."""
    monkeypatch.setenv("MY_KEY", "sk-a-key-of-mine\n")
    with raw_serving(whole({})) as server:
        for key in ("env:MY_KEY", "sk-a-key-of-mine\n"):
            options = OpenAIOptions(model="m", base_url=f"{server.url}/v1", api_key=key)
            opened = Connection(options)
            opened.get("v1/models")
            opened.close()
            sent = server.requests[-1].headers["authorization"]
            assert sent == "Bearer sk-a-key-of-mine"


def test_without_a_key_no_authorization_is_sent() -> None:
    with raw_serving(whole({})) as server:
        opened = Connection(OpenAIOptions(model="m", base_url=f"{server.url}/v1"))
        opened.get("v1/models")
        opened.close()
    assert "authorization" not in server.requests[0].headers
