"""Arguments and defaults of a model: merged under one name, checked early, said with their row."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    CapabilityError,
    ConfigError,
    EngineError,
    InputError,
    Model,
    PluginBrokenError,
    hookimpl,
    load,
)
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM


def test_an_argument_beats_a_default_under_either_name() -> None:
    model = Model(RandomLM(), completion={"max_tokens": 9})
    assert len(model.with_options(max_new_tokens=4).complete("x", max_tokens=2).tokens) == 2
    assert len(model.with_options(max_new_tokens=4).complete("x").tokens) == 4
    assert len(model.complete("x", max_new_tokens=3).tokens) == 3


def test_wrong_completion_defaults_are_said_at_load_with_file_and_key(tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    config.write_text('[models.r]\nbackend = "random"\ncompletion = { top_p = 7 }\n')
    with pytest.raises(ConfigError, match=r"autocog\.toml: models\.r\.completion\.top_p"):
        load("r", config=config)


def test_an_unknown_completion_argument_gets_the_nearest_name() -> None:
    with pytest.raises(CapabilityError, match='did you mean "max_tokens"'):
        Model(RandomLM()).complete("x", max_token=3)


def test_a_stream_is_of_one_completion_whatever_the_defaults() -> None:
    model = Model(RandomLM(), completion={"n": 3, "max_tokens": 5, "seed": 1, "temperature": 1.0})
    assert "".join(model.stream("x")) == model.complete("x", n=1).text
    assert len(model.complete("x").alternatives) == 2


def test_choose_many_takes_messages() -> None:
    model = Model(RandomLM())
    talks = [[{"role": "user", "content": text}] for text in ("one", "two")]
    found = model.choose_many(messages=talks, choices=["a", "b"])
    assert found == [model.choose(messages=talk, choices=["a", "b"]) for talk in talks]
    with pytest.raises(InputError, match="either"):
        model.choose_many(["x"], ["a"], messages=talks)


def test_choose_many_names_the_prompt_that_is_wrong() -> None:
    model = Model(RandomLM(context_length=20))
    with pytest.raises(InputError, match=r"^prompts\[1\], prompt: "):
        model.choose_many(["short", "long " * 20], ["a", "b"])
    assert len(model.choose_many(["short", "brief"], ["a", "b"])) == 2


def test_what_a_message_holds_beside_role_and_content_is_refused_not_dropped() -> None:
    with pytest.raises(InputError, match="tool_calls"):
        Model(RandomLM()).complete(messages=[{"role": "user", "content": "x", "tool_calls": "y"}])


def test_a_backend_that_does_not_describe_itself_is_usable() -> None:
    class Plain:
        contract = 1

        @hookimpl
        def tokenize(self, texts: Any, at_start: bool, parse_special: bool) -> Any:
            return [[ord(character) % 50 for character in text] for text in texts]

        @hookimpl
        def detokenize(self, tokens: Any) -> bytes:
            return bytes(tokens)

        @hookimpl
        def greedy_impl(self, tokens: Any) -> Any:
            return np.full(50, -np.log(50), dtype=np.float32)

    model = Model(Plain())
    assert model.info.vocabulary_size == 50
    assert model.choose("x", ["a", "bc"]).scores[1].logprob == pytest.approx(-2 * np.log(50))
    model.close()


def test_a_misspelt_impl_method_is_an_error_and_not_ignored() -> None:
    with pytest.raises(PluginBrokenError, match='did you mean "greedy_tree_impl"'):
        type("Typo", (RandomLM,), {"gredy_tree_impl": lambda self, queries: None})


def test_a_backends_own_retries_count_for_a_model_over_it() -> None:
    class Flaky(TableLM):
        failures = 1

        def greedy_impl(self, tokens: Any) -> Any:
            if self.failures:
                self.failures -= 1
                raise EngineError("busy", retryable=True)
            return super().greedy_impl(tokens)

    backend = Flaky()
    backend.retry = type(backend.retry)(retries=1, delta=0)
    assert Model(backend).greedy("x").shape


class Crowded(TableLM):
    """Notices when two calls run at once; takes its created parts, as an engine's wrappers do."""

    def __init__(self, *, meter: Any = None, completion_kwargs: Any = None) -> None:
        super().__init__(completion_kwargs=completion_kwargs)
        self.meter = meter if meter is not None else {"now": 0, "most": 0}

    def greedy_impl(self, tokens: Any) -> Any:
        self.meter["now"] += 1
        self.meter["most"] = max(self.meter["most"], self.meter["now"])
        time.sleep(0.01)
        self.meter["now"] -= 1
        return super().greedy_impl(tokens)


def test_two_models_over_one_backend_take_turns() -> None:
    backend = Crowded()
    threads = [
        threading.Thread(target=model.greedy, args=("x",))
        for model in (Model(backend), Model(backend))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backend.meter["most"] == 1


def test_a_short_value_from_the_environment_does_not_garble_messages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTEXT_LENGTH", "20")
    monkeypatch.setenv("LONG_SECRET", "sesame-open-20")
    config = tmp_path / "autocog.toml"
    config.write_text(
        '[models.r]\nbackend = "random"\noptions = { context_length = "env:CONTEXT_LENGTH" }\n'
    )
    with load("r", config=config) as model, pytest.raises(InputError, match="context of 20"):
        model.greedy("too long for twenty tokens")
    config.write_text('[models.r]\nbackend = "random"\noptions = { seed = "env:LONG_SECRET" }\n')
    with pytest.raises(ConfigError) as caught:
        load("r", config=config)
    assert "sesame" not in str(caught.value)


def test_an_argument_and_its_other_name_do_not_go_together() -> None:
    model = Model(RandomLM())
    with pytest.raises(InputError, match="max_tokens: is given twice, also under another name"):
        model.complete("x", max_tokens=3, max_new_tokens=4)
    assert len(model.complete("x", max_new_tokens=4).tokens) == 4


def test_a_stream_takes_no_callback() -> None:
    with pytest.raises(InputError, match="on_text: is not an argument of stream"):
        Model(RandomLM()).stream("x", on_text=print)
