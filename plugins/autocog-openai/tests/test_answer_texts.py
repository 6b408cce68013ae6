"""What is the text of an answer, which tokens are its own, and why it ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from autocog_core import Automaton, Completion, Model
from autocog_core.errors import EngineError
from autocog_openai import OpenAI
from autocog_openai.connection.errors import RefusedError
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.rewriting import Rewriting
from tests.support.openai.servers.serving import serving

MESSAGES = [{"role": "user", "content": "Yes or no?"}]


@pytest.fixture(scope="module")
def opened(
    tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: str
) -> Iterator[tuple[OpenAI, Rewriting]]:
    """Return a model on a chat server, and what replaces the server's answers."""
    server = Rewriting(Generic())
    with serving(server) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        model = OpenAI(
            model="random",
            base_url=f"{url}/v1",
            api="chat",
            tokenizer=byte_tokenizer,
            max_retries=0,
            timeout=10,
        )
        assert model.as_model().info.details["chat_max_top_logprobs"] == 20
        yield model, server
        model.close()


def tokens(text: str, logprob: float = -0.5) -> dict[str, Any]:
    """Return log-probabilities: one token for each character."""
    entries = [
        {"token": letter, "logprob": logprob - index, "bytes": list(letter.encode())}
        for index, letter in enumerate(text)
    ]
    return {"content": [{**entry, "top_logprobs": [entry]} for entry in entries]}


def answered(
    opened: tuple[OpenAI, Rewriting], message: Any, *, stream: bool = False, **choice: Any
) -> Completion:
    """Return the completion that the plugin makes of an answer."""
    model, server = opened
    choice = {"index": 0, "finish_reason": "stop", **choice}
    if not stream:
        server.instead = JSONResponse({"choices": [{**choice, "message": message}]})
        return model.complete(messages=MESSAGES, max_tokens=20)
    parts = message if isinstance(message, list) else [message]
    chunks = [
        {"index": 0, "delta": delta, "finish_reason": None, "logprobs": delta.pop("logprobs", None)}
        for delta in map(dict, parts)
    ]
    chunks.append({**choice, "delta": {}})
    events = "".join(f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks)
    server.instead = Response(events + "data: [DONE]\n\n", media_type="text/event-stream")
    return model.complete(messages=MESSAGES, max_tokens=20, on_text=lambda text: None)


THOUGHTS = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "Y"}, {"type": "text", "text": "es"}], "Yes"),
        ([THOUGHTS, {"type": "text", "text": "Yes"}], "Yes"),
        ([{"type": "output_text", "text": "Yes"}], "Yes"),
        ([THOUGHTS], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_text_of_content_in_parts_is_its_text_parts(
    opened: Any, content: Any, text: str, stream: bool
) -> None:
    assert answered(opened, {"content": content}, stream=stream).text == text


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_tokens_of_thoughts_are_not_those_of_the_text(opened: Any, field: str) -> None:
    message = {"content": "Yes", field: "hm?"}
    assert answered(opened, message, logprobs=tokens("hm?Yes")).logprobs == (-3.5, -4.5, -5.5)
    assert answered(opened, message, logprobs=tokens("Yes")).logprobs == (-0.5, -1.5, -2.5)
    # These cannot be told apart.
    for unclear in ("hm?", "hm?Ye", "hm? Yes.", "YesNo"):
        assert answered(opened, message, logprobs=tokens(unclear)).logprobs is None


def test_tokens_of_thoughts_in_parts_are_not_those_of_the_text(opened: Any) -> None:
    message = {"content": [THOUGHTS, {"type": "text", "text": "Yes"}]}
    assert answered(opened, message, logprobs=tokens("hmYes")).logprobs == (-2.5, -3.5, -4.5)


def test_streamed_thoughts_add_nothing(opened: Any) -> None:
    deltas = [
        {"reasoning_content": "hm", "logprobs": tokens("hm")},
        {"content": "Y", "logprobs": tokens("Y", -0.25)},
        {"content": "es", "logprobs": tokens("es")},
    ]
    found = answered(opened, deltas, stream=True)
    assert (found.text, found.logprobs) == ("Yes", (-0.25, -0.5, -1.5))


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_with_a_missing_token_has_no_log_probabilities(opened: Any, stream: bool) -> None:
    deltas = [{"content": "Y", "logprobs": tokens("Y")}, {"content": "es", "logprobs": None}]
    if stream:
        found = answered(opened, deltas, stream=True)
    else:
        found = answered(opened, {"content": "Yes"}, logprobs=tokens("Y"))
    assert (found.text, found.tokens, found.logprobs) == ("Yes", (), None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "written"),
    [("", "Yes"), ("Yes", "YesNo"), ("Yes", "No"), (None, "Yes"), ("Yes", "Yes\nNo")],
)
def test_tokens_of_something_else_have_no_log_probabilities(
    opened: Any, text: str | None, written: str, stream: bool
) -> None:
    message = {"content": text, "logprobs": tokens(written)} if stream else {"content": text}
    logprobs = {} if stream else {"logprobs": tokens(written)}
    found = answered(opened, message, stream=stream, **logprobs)
    assert (found.text, found.tokens, found.logprobs) == (text or "", (), None)


@pytest.mark.parametrize("end", ["", "</s>", "<|im_end|>", "<|im_end|>\n", "\n"])
@pytest.mark.parametrize("text", ["Yes", ""])
def test_special_tokens_and_spaces_after_a_text_are_its_end(
    opened: Any, text: str, end: str
) -> None:
    names = [*text, *([end.rstrip()] if end.strip() else []), *(["\n"] if "\n" in end else [])]
    entries = [{"token": name, "logprob": -0.5, "bytes": None} for name in names]
    found = answered(opened, {"content": text}, logprobs={"content": entries})
    assert (found.logprobs or ()) == (-0.5,) * len(names)


@pytest.mark.parametrize(
    ("stop", "names", "is_own"),
    [
        ("END", ["Yes", "END"], True),
        ("END", ["Yes", " END."], True),
        ("END", ["Yes", "EN"], False),
        ("END", ["Yes", "No"], False),
        ("\n", ["Yes", "\n"], True),
        ("\n", ["Yes", "\nNo"], True),
        ("\n", ["Yes", "No", "No"], False),
    ],
)
def test_a_stop_string_of_the_request_may_follow_the_text(
    opened: Any, stop: str, names: list[str], is_own: bool
) -> None:
    model, server = opened
    entries = [{"token": name, "logprob": -0.5, "bytes": None} for name in names]
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "Yes"}}
    server.instead = JSONResponse({"choices": [{**choice, "logprobs": {"content": entries}}]})
    found = model.complete(messages=MESSAGES, max_tokens=20, stop=stop)
    assert (found.text, found.logprobs is not None) == ("Yes", is_own)


def test_surfaces_without_spaces_have_log_probabilities_but_no_ids(opened: Any) -> None:
    entries = [{"token": word, "logprob": -1.0, "bytes": None} for word in ("Yes", "we")]
    found = answered(opened, {"content": "Yes we"}, logprobs={"content": entries})
    assert (found.tokens, found.logprobs) == ((), (-1.0, -1.0))


def test_a_written_token_that_the_server_calls_impossible_is_not_scored(opened: Any) -> None:
    found = answered(opened, {"content": "Y"}, logprobs=tokens("Y", -9999.0))
    assert (found.text, found.logprobs) == ("Y", None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "eos"),
        ("STOP", "eos"),
        ("eos_token", "eos"),
        ("end_turn", "eos"),
        ("stop_sequence", "unknown"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("tool_calls", "unknown"),
        ("function_call", "unknown"),
        ("something new", "unknown"),
    ],
)
def test_only_what_means_an_end_is_an_end(
    opened: Any, reason: str, expected: str, stream: bool
) -> None:
    found = answered(opened, {"content": "Yes"}, finish_reason=reason, stream=stream)
    assert (found.text, found.finish_reason) == ("Yes", expected)


def test_a_stop_string_is_the_end_only_if_the_request_has_one(opened: Any) -> None:
    model, server = opened
    choice = {"index": 0, "finish_reason": "stop_sequence", "message": {"content": "Yes"}}
    server.instead = JSONResponse({"choices": [choice]})
    found = model.complete(messages=MESSAGES, max_tokens=20, stop="\n")
    assert found.finish_reason == "stop"


@pytest.mark.parametrize("reason", [None, ""])
def test_an_answer_without_a_reason_ends_for_an_unknown_one(opened: Any, reason: Any) -> None:
    assert answered(opened, {"content": "Y"}, finish_reason=reason).finish_reason == "unknown"
    # A stream has not ended yet.
    with pytest.raises(EngineError, match="the stream ended before the text did") as caught:
        answered(opened, {"content": "Y"}, finish_reason=reason, stream=True)
    assert caught.value.retryable is True


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reason", ["insufficient_system_resource", "error", "abort", "network_error", "Cancelled"]
)
def test_an_answer_that_the_server_cut_off_may_be_retried(
    opened: Any, reason: str, stream: bool
) -> None:
    with pytest.raises(EngineError, match=reason) as caught:
        answered(opened, {"content": "Y"}, finish_reason=reason, stream=stream)
    assert caught.value.retryable is True


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "refusal"])
def test_an_answer_that_a_filter_cut_is_a_refusal(opened: Any, reason: str) -> None:
    with pytest.raises(RefusedError):
        answered(opened, {"content": "Y"}, finish_reason=reason)


def test_an_unknown_reason_is_said_once_and_never_exact(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model, server = opened
    choice = {"message": {"content": "Y"}, "finish_reason": "paused", "logprobs": tokens("Y")}
    server.instead = JSONResponse({"choices": [choice]})
    automaton = Automaton.from_dict(
        {"actions": [{"uid": "a", "text": "Hi"}, {"uid": "b", "length": 3}]}
    )
    core_model: Model = model.as_model()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            end = automaton.run(core_model, strategy="text").best().end
            assert (end.finish_reason, end.exact) == ("unknown", False)
            assert "why the text ended" in end.reason
    assert sum('"paused"' in record.message for record in caplog.records) == 1
    tree = automaton.run(core_model, strategy="text")
    assert type(tree).from_dict(tree.to_dict()).to_dict() == tree.to_dict()


def test_two_choices_with_one_index_are_a_malformed_answer(opened: Any) -> None:
    model, server = opened
    choice = {"index": 0, "message": {"content": "Y"}, "finish_reason": "stop"}
    server.instead = JSONResponse({"choices": [choice, choice]})
    with pytest.raises(EngineError, match="same index") as caught:
        model.complete(messages=MESSAGES, max_tokens=3)
    assert caught.value.retryable is True
