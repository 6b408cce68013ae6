"""Constraints on texts by structured outputs: what probing finds, the texts, and their numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from autocog_core import (
    Automaton,
    CapabilityError,
    Complete,
    EngineError,
    InputError,
    Text,
    ThoughtTree,
)
from autocog_core.constraints.language import matches
from autocog_core.evaluation.text_strategy import Strategy
from autocog_core.types.constraint import Constraint
from autocog_openai.engine import MASKED
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.llama_protocol import LlamaServer
from tests.support.openai.servers.openai_api import (
    CHAT,
    DECIDER,
    INSTRUCT,
    KEY,
    REASONING,
    OpenAIServer,
)
from tests.support.openai.servers.scripted import Scripted, refusal
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM

PROMPT = "It is"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["a"],
    "additionalProperties": False,
}
ARGUMENTS: dict[str, Any] = {
    "regex": r"[ab]{2}/\d",
    "grammar": 'start: "x" | "y" start "z"',
    "json_schema": SCHEMA,
}
ALL = ("regex", "grammar", "json_schema")


def masked() -> Engine:
    return Engine(processed_logprobs=True)


def openai_model(name: str) -> dict[str, Any]:
    return {"model": name, "server": "openai"}


#: Servers, options, the form of each kind, and whose log-probabilities they return.
FOUND: dict[str, tuple[Callable[[], Any], dict[str, Any], dict[str, str], str | None]] = {
    "vllm": (VLLM, {}, dict.fromkeys(ALL, "structured_outputs"), "own"),
    "vllm chat": (VLLM, {"api": "chat"}, dict.fromkeys(ALL, "structured_outputs"), "own"),
    "vllm masked": (
        lambda: VLLM(masked()),
        {},
        dict.fromkeys(ALL, "structured_outputs"),
        "masked",
    ),
    "vllm older": (
        lambda: VLLM(structured=False, guided=True, named_tokens=False),
        {},
        dict.fromkeys(ALL, "guided"),
        "own",
    ),
    "vllm older masked": (
        lambda: VLLM(masked(), structured=False, guided=True, named_tokens=False),
        {},
        dict.fromkeys(ALL, "guided"),
        "masked",
    ),
    "vllm without": (lambda: VLLM(structured=False), {}, {}, None),
    "sglang": (SGLang, {}, dict.fromkeys(ALL, "sglang"), "masked"),
    "sglang chat": (SGLang, {"api": "chat"}, dict.fromkeys(ALL, "sglang"), "masked"),
    "llama-server": (LlamaServer, {}, dict.fromkeys(ALL, "llguidance"), "own"),
    "llama-server without llguidance": (
        lambda: LlamaServer(llguidance=False),
        {},
        {"json_schema": "llama_schema"},
        "own",
    ),
    "generic": (Generic, {}, {"json_schema": "response_format"}, "own"),
    "openai": (OpenAIServer, openai_model(CHAT), {"json_schema": "response_format"}, "own"),
    "openai reasoning": (
        OpenAIServer,
        openai_model(REASONING),
        {"json_schema": "response_format"},
        "unknown",
    ),
    "openai responses": (
        OpenAIServer,
        {**openai_model(CHAT), "api": "responses"},
        {"json_schema": "text_format"},
        "unknown",
    ),
    "openai completions": (OpenAIServer, openai_model(INSTRUCT), {}, None),
    "openai decisions": (OpenAIServer, openai_model(DECIDER), {}, None),
}


#: Servers that differ little from others of the table.
SIMILAR = ("vllm older masked", "sglang chat", "openai completions", "openai decisions")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.soak if name in SIMILAR else ()) for name in FOUND],
)
def test_what_a_server_obeys_is_found_out_and_is_exact_or_says_that_it_is_not(
    connect: Connect, connect_chat: Connect, name: str
) -> None:
    make, options, forms, logprobs = FOUND[name]
    server = make()
    opened = connect_chat if isinstance(server, OpenAIServer) or make is Generic else connect
    model = opened(server, **options).as_model()
    details = model.info.details
    assert details.get("constraint_forms", {}) == forms
    assert details.get("constrained_logprobs") == logprobs
    assert model.info.constraints == tuple(forms)
    for kind, argument in ARGUMENTS.items():
        if kind not in forms:
            if not model.client.has_masks():
                with pytest.raises(CapabilityError, match=kind):
                    model.complete(PROMPT, **{kind: argument})
            continue
        found = model.complete(PROMPT, max_tokens=40, temperature=0, **{kind: argument})
        source = argument if kind != "json_schema" else json.dumps(argument)
        constraint = Constraint(kind=kind, source=source)  # type: ignore[arg-type]
        assert matches(constraint, found.text, any_blanks=True)
        assert (found.finish_reason, found.allowed) == ("eos", None)
        if found.logprobs is not None and found.tokens and details["api"] == "completions":
            own = own_logprobs(server.engine, found.tokens)
            is_own = found.logprobs == pytest.approx(own, abs=1e-3)
            assert is_own is (found.reason == "")
            assert found.reason in ("", MASKED[True])
        elif found.logprobs is not None:
            assert (found.reason == "") is (logprobs == "own")


def own_logprobs(engine: Engine, tokens: tuple[int, ...]) -> list[float]:
    """The model's own log-probabilities of a text after the prompt, one forward for each."""
    ids = engine.encode(PROMPT)
    rows = [engine.model.greedy([*ids, *tokens[:index]]) for index in range(len(tokens))]
    return [float(row[token]) for row, token in zip(rows, tokens, strict=True)]


def run(model: Any, strategy: Strategy = "text", **options: Any) -> ThoughtTree:
    automaton = Automaton(
        [
            Text(uid="text", text=PROMPT, successors=("complete",)),
            Complete(uid="complete", length=options.pop("length", 8), **options),
        ]
    )
    return automaton.run(model, strategy=strategy)


def test_nodes_say_whether_their_numbers_are_the_models_own(connect: Connect) -> None:
    for make, reason in ((VLLM, ""), (lambda: VLLM(masked()), MASKED[True]), (SGLang, "")):
        server = make()
        node = run(connect(server).as_model(), regex="[ab]{3}").nodes[-1]
        assert (node.exact, node.reason) == (not reason, reason)
        assert (node.allowed, node.constrained_logprob) == ((), None)
        if not reason:
            assert node.logprobs == pytest.approx(own_logprobs(server.engine, node.tokens))


def test_both_strategies_write_the_same_on_a_server_with_distributions(connect: Connect) -> None:
    model = connect(LlamaServer()).as_model()
    for kind, argument in ARGUMENTS.items():
        options = {kind: argument, "length": 40}
        by_text, by_tree = run(model, "text", **options), run(model, "token_tree", **options)
        assert by_text.nodes[-1].text == by_tree.nodes[-1].text
        assert by_text.nodes[-1].logprobs == pytest.approx(by_tree.nodes[-1].logprobs, abs=1e-3)
        assert by_tree.nodes[-1].constrained_logprob is not None
        own = model.complete(PROMPT, max_tokens=40, temperature=0, **{kind: argument})
        assert own.text == by_tree.nodes[-1].text
    # A text may end at a stop string only where core masks.
    stopped = model.complete(PROMPT, regex="[ab]+", stop="c", max_tokens=40, temperature=1, seed=1)
    assert stopped.constrained_logprob is not None
    assert matches(Constraint(kind="regex", source="[ab]+"), stopped.text)


def test_samples_and_streams_are_constrained_too(connect: Connect) -> None:
    for make in (VLLM, SGLang, LlamaServer):
        model = connect(make()).as_model()
        found = model.complete(PROMPT, regex="[a-d]{2}", n=6, temperature=1, seed=3)
        texts = [found.text, *(other.text for other in found.alternatives)]
        assert len(set(texts)) > 1
        assert all(matches(Constraint(kind="regex", source="[a-d]{2}"), text) for text in texts)
        text = "".join(model.stream(PROMPT, regex="[a-d]{2}", temperature=0))
        assert text == model.complete(PROMPT, regex="[a-d]{2}", temperature=0).text


def test_a_text_that_the_limit_cut_is_incomplete(connect: Connect) -> None:
    model = connect(VLLM()).as_model()
    assert model.complete(PROMPT, regex="[ab]{9}", max_tokens=4).finish_reason == "incomplete"
    assert model.complete(PROMPT, regex="[ab]*", max_tokens=4).finish_reason == "length"
    tree = run(model, regex="[ab]{9}", length=4)
    assert (tree.nodes[-1].pruned_by, tree.nodes[-1].finish_reason) == ("incomplete",) * 2
    assert math.isfinite(tree.nodes[-1].logprob)


def test_what_a_server_cannot_do_is_refused(connect: Connect) -> None:
    model = connect(VLLM(structured=False)).as_model()
    with pytest.raises(CapabilityError, match=r'"complete": its regex \(it serves no constraint\)'):
        run(model, regex="a")
    model = connect(VLLM()).as_model()
    for options in ({"followed_by": "b"}, {"importance_weights": True, "samples": 3}):
        with pytest.raises(CapabilityError, match=next(iter(options))):
            run(model, regex="a", width=None, **options)
    with pytest.raises(CapabilityError, match="not at stop strings"):
        model.complete(PROMPT, regex="a", stop="b")
    with pytest.raises(InputError, match="structured_outputs"):
        model.complete(PROMPT, regex="a", structured_outputs={"regex": "b"})
    server = connect(VLLM())
    for wrong in ({"regex": "(?=a)b"}, {"json_schema": False}, {"grammar": "start: other"}):
        with pytest.raises(InputError):
            server.complete(PROMPT, **wrong)
    assert server.complete(PROMPT, regex="ab").text == "ab"


def test_a_server_says_in_its_words_what_it_refuses(
    connect: Connect, connect_chat: Connect
) -> None:
    loose = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    server = OpenAIServer()
    model = connect_chat(server, **openai_model(CHAT), api_key=KEY)
    with pytest.raises(InputError, match="'additionalProperties' is required to be supplied"):
        model.complete(PROMPT, json_schema=loose)
    sent = Scripted(VLLM())
    model = connect(sent)
    assert "regex" in model.as_model().info.constraints
    sent.answers.append(
        refusal(400, "unsupported", param="structured_outputs", code="unsupported_parameter")
    )
    with pytest.raises(CapabilityError, match="unsupported"):
        model.complete(PROMPT, regex="ab")
    assert model.complete(PROMPT, regex="ab").text == "ab"


def test_a_server_that_does_not_obey_is_noticed(connect: Connect) -> None:
    server = VLLM()
    model = connect(server).as_model()
    assert model.complete(PROMPT, regex="ab").text == "ab"
    server.structured = False
    with pytest.raises(EngineError, match=r"vllm: random: the text .* does not meet its regex"):
        model.complete(PROMPT, regex="ab|" + "c" * 99, max_tokens=2000, temperature=0)
    server.structured = True
    assert model.complete(PROMPT, regex="ab").text == "ab"


class Invoice(BaseModel, extra="forbid"):
    """A record, as for OpenAI's SDK."""

    number: int = Field(ge=0, le=99)
    paid: bool


def test_a_pydantic_model_gives_the_text_of_openais_sdk(connect_chat: Connect) -> None:
    import openai

    for make, options in ((OpenAIServer, openai_model(CHAT)), (VLLM, {"api": "chat"})):
        model = connect_chat(make(), **options, api_key=KEY)
        found = model.complete(PROMPT, json_schema=Invoice, temperature=0)
        base_url = model.as_model().info.details["base_url"]
        with openai.OpenAI(api_key=KEY, base_url=base_url) as client:
            parsed = client.chat.completions.parse(
                model="random",
                messages=[{"role": "user", "content": PROMPT}],
                response_format=Invoice,
                temperature=0,
            )
        assert Invoice.model_validate_json(found.text) == parsed.choices[0].message.parsed
