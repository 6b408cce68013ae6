"""Exceptions of a plugin's own code: one error that names plugin and hook, with the cause."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import (
    Automaton,
    BackendInfo,
    CapabilityError,
    Choose,
    EngineError,
    HookError,
    Model,
    ModelLoadError,
    OutOfMemoryError,
    PluginBrokenError,
    Text,
    hookimpl,
    load,
)
from autocog_core.backends.random import RandomLM
from tests.support.small_backends import Plain, forget, install, uniform

AUTOMATON = Automaton(
    [
        Text(uid="text", text="Sure?", successors="pick"),
        Choose(uid="pick", choices=["yes", "no"]),
    ]
)

CALLS: dict[str, tuple[str, Callable[[Model], Any]]] = {
    "choose": ("choose", lambda model: model.choose("x", ["a", "b"])),
    "choose_many": ("choose", lambda model: model.choose_many(["x"], ["a", "b"])),
    "complete": ("complete", lambda model: model.complete("x")),
    "stream": ("complete", lambda model: list(model.stream("x"))),
    "greedy": ("greedy_impl", lambda model: model.greedy("x")),
    "next_tokens": ("greedy_tree_impl", lambda model: model.next_tokens("x")),
    "tokenize": ("tokenize", lambda model: model.tokenize("x")),
    "detokenize": ("detokenize", lambda model: model.detokenize([65])),
    "chat_prompt": (
        "chat_prompt",
        lambda model: model.chat_prompt([{"role": "user", "content": "x"}]),
    ),
    "info": ("describe", lambda model: model.info),
    "usage": ("usage", lambda model: model.usage),
    "run": ("run_automata", lambda model: AUTOMATON.run(model)),
    "close": ("close", lambda model: model.close()),
}


def failing_backend(hook: str, error: BaseException) -> Any:
    def fail(*_: Any) -> Any:
        raise error

    name = hook if hook.endswith("_impl") else f"{hook}_impl"
    # The parameters of the hook, as pluggy reads them.
    methods = {
        "choose_impl": lambda self, request: fail(),
        "complete_impl": lambda self, request: fail(),
        "greedy_impl": lambda self, tokens: fail(),
        "greedy_tree_impl": lambda self, queries: fail(),
        "tokenize_impl": lambda self, texts, at_start, parse_special: fail(),
        "detokenize_impl": lambda self, tokens: fail(),
        "chat_prompt_impl": lambda self, messages, add_generation_prompt: fail(),
        "describe_impl": lambda self: fail(),
        "usage_impl": lambda self: fail(),
        "run_automata_impl": lambda self, runs: fail(),
        "close_impl": lambda self: fail(),
    }
    return type("Failing", (RandomLM,), {name: methods[name], "__module__": __name__})()


@pytest.mark.parametrize("call", list(CALLS))
def test_an_exception_in_a_hook_names_plugin_and_hook_and_keeps_the_cause(call: str) -> None:
    hook, function = CALLS[call]
    cause = IndexError("list index out of range")
    model = Model(failing_backend(hook, cause), name="m")
    with pytest.raises(HookError) as caught:
        function(model)
    error = caught.value
    assert error.message.startswith(f"{hook} of Failing (tests.unit.test_plugin_errors) raised ")
    assert "IndexError: list index out of range" in error.message
    assert error.where == "m"
    assert "an error of the plugin" in error.hint
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
        (EngineError("out of order"), EngineError),
        (MemoryError(), OutOfMemoryError),
        (BrokenPipeError("the server"), HookError),
        (StopIteration(), HookError),
        (RecursionError("too deep"), HookError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_passes_and_what_becomes_an_error_of_the_plugin(
    raised: BaseException, kind: type[BaseException]
) -> None:
    with pytest.raises(kind) as caught:
        Model(failing_backend("greedy_impl", raised)).greedy("x")
    assert caught.type is kind
    assert caught.value is raised or caught.value.__cause__ is raised


class BeforeCall:
    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Any) -> Generator[None, Any, Any]:
        raise ZeroDivisionError("before")
        yield


class AfterCall:
    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Any) -> Generator[None, Any, Any]:
        yield
        return 1 / 0


class PassesOn:
    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Any) -> Generator[None, Any, Any]:
        return (yield)


@pytest.mark.parametrize("wrapper", [BeforeCall, AfterCall])
def test_an_exception_in_a_wrapper_names_the_wrapper(wrapper: Callable[[], Any]) -> None:
    model = Model(RandomLM(), wrappers=[PassesOn(), wrapper(), PassesOn()])
    with pytest.raises(HookError, match=f"greedy_impl of {wrapper.__name__} "):  # type: ignore[attr-defined]
        model.choose("x", ["a", "b"])


def test_wrappers_around_do_not_take_the_blame_for_the_backend() -> None:
    model = Model(failing_backend("greedy_impl", KeyError("x")), wrappers=[PassesOn(), PassesOn()])
    with pytest.raises(HookError, match="greedy_impl of Failing "):
        model.choose("x", ["a", "b"])


def test_an_exception_of_the_callers_callback_is_the_callers() -> None:
    def on_text(piece: str) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Model(RandomLM()).complete("x", on_text=on_text)


def test_an_exception_of_the_callback_is_raised_even_if_the_backend_ignores_it() -> None:
    class Ignores(RandomLM):
        def complete_impl(self, request: Any) -> Any:
            from contextlib import suppress
            from dataclasses import replace

            with suppress(ZeroDivisionError):
                request.on_text("x")
            return Model(RandomLM()).client.complete(replace(request, on_text=None))

    def on_text(piece: str) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Model(Ignores()).complete("x", on_text=on_text)


def test_an_error_of_core_itself_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from autocog_core.scoring import choice_tree

    def fail(*_: Any) -> Any:
        raise IndexError("in core")

    monkeypatch.setattr(choice_tree, "choose_many", fail)
    with pytest.raises(IndexError, match="in core"):
        Model(RandomLM()).choose("x", ["a", "b"])


def test_an_error_of_the_fingerprint_names_the_backend() -> None:
    class Unnamed(Plain):
        @hookimpl
        def describe(self) -> BackendInfo:
            def fail() -> str:
                raise KeyError("weights")

            return BackendInfo(name="plain", vocabulary_size=256, compute_fingerprint=fail)

    with pytest.raises(HookError, match=r"of Unnamed .* KeyError: 'weights'"):
        AUTOMATON.run(Model(Unnamed()))


class Silent:
    """Gives neither its description nor a size."""

    @hookimpl
    def tokenize(self, texts: Any, at_start: bool, parse_special: bool) -> Any:
        return [list(text.encode()) for text in texts]


def test_a_backend_that_does_not_describe_itself_says_what_to_implement() -> None:
    for call in (lambda model: model.tokenize("x"), lambda model: model.info):
        with pytest.raises(CapabilityError, match="no `describe`, and neither") as caught:
            call(Model(Silent(), name="mute"))
        assert caught.value.where == "mute"
        assert "return BackendInfo(name=..., vocabulary_size=...)" in caught.value.hint


def test_a_description_that_is_none_is_named() -> None:
    class Forgets(Silent):
        @hookimpl
        def describe(self) -> Any:
            return None

    with pytest.raises(CapabilityError, match="`describe` returned None"):
        Model(Forgets()).tokenize("x")


def test_rows_alone_still_describe_a_backend() -> None:
    class Rows(Silent):
        @hookimpl
        def greedy_impl(self, tokens: Any) -> Any:
            return uniform(256)

    assert Model(Rows()).info.vocabulary_size == 256


FAULTY = """
from autocog_core import BackendOptions
from autocog_core.backends.random import RandomLM, RandomOptions
from autocog_core.wrappers import Wrapper
class Options(RandomOptions):
    fails: str = ""
class Faulty(RandomLM):
    Options = Options
    def __init__(self, *, fails="", **options):
        if fails == "init":
            raise KeyError("init")
        self.fails = fails
        super().__init__(**options)
    @classmethod
    def create(cls, **options):
        if options.get("fails") == "create":
            raise IndexError("create")
        return options
    def greedy_impl(self, tokens):
        return [][0] if self.fails == "call" else super().greedy_impl(tokens)
class WrapperOptions(BackendOptions):
    fails: str = "init"
class FaultyWrapper(Wrapper):
    Options = WrapperOptions
    def __init__(self, fails="init"):
        self.fails = fails
        if fails == "init":
            raise KeyError("init")
    def attach(self, context):
        raise KeyError("attach")
"""


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Model]]:
    points = {
        "autocog": {"faulty": "faulty_plugin:Faulty"},
        "autocog.wrappers": {"faulty": "faulty_plugin:FaultyWrapper"},
    }
    install(tmp_path, "autocog-faulty", points, {"faulty_plugin": FAULTY}, version="1.2")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget("faulty_plugin")

    def make(text: str) -> Model:
        config = tmp_path / "autocog.toml"
        config.write_text(f"[models.m]\n{text}", encoding="utf-8")
        return load("m", config=config)

    yield make
    forget("faulty_plugin")


@pytest.mark.parametrize("place", ["create", "init"])
def test_a_failing_load_names_the_distribution(faulty: Any, place: str) -> None:
    with pytest.raises(ModelLoadError) as caught:
        faulty(f'backend = "faulty"\noptions = {{ fails = "{place}" }}')
    assert 'backend "faulty" (autocog-faulty 1.2) could not load it: ' in caught.value.message
    assert caught.value.__cause__ is not None


def test_a_failing_call_names_the_distribution(faulty: Any) -> None:
    model = faulty('backend = "faulty"\noptions = { fails = "call" }')
    with pytest.raises(HookError) as caught:
        model.choose("x", ["a", "b"])
    assert "greedy_impl of Faulty (autocog-faulty 1.2) raised IndexError" in caught.value.message


@pytest.mark.parametrize("place", ["init", "attach"])
def test_a_failing_wrapper_names_the_distribution(faulty: Any, place: str) -> None:
    with pytest.raises(PluginBrokenError, match=r"FaultyWrapper \(autocog-faulty 1.2\) raised"):
        faulty(
            'backend = "faulty"\n'
            f'wrappers = [{{ name = "faulty", options = {{ fails = "{place}" }} }}]'
        )
