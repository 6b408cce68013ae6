"""`cache`: each call is computed once, numbers are bit-identical, and models share no entries."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Automaton, ConfigError, Model, NumericsError, UsageError, hookimpl, load
from autocog_core.backends.random import RandomLM
from autocog_core.dataset import Run, run_file
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.wrappers.cache import Cache
from tests.support.small_backends import Plain
from tests.wrappers.counting import CountingLM

#: As in banking77, with short names: bytes make deep trees.
ROUTING: dict[str, Any] = {
    "autocog": 1,
    "inputs": {"message": "text"},
    "actions": [
        {"text": "Customer: {{ message }}\nTopic:"},
        {
            "name": "intent",
            "choices": [f" {chr(97 + number % 7)}{number}" for number in range(77)],
            "norm": "pmi",
            "unconditional_prompt": "Customer:\nTopic:",
        },
    ],
}
CHOICES = ["yes", "no", "yes, of course"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


def cached(path: Path, backend: object, *inside: object) -> Model:
    return Model(backend, wrappers=[Cache(path=path), *inside])


def test_a_repeated_data_set_run_calls_no_backend_and_writes_identical_bytes(
    path: Path, tmp_path: Path
) -> None:
    source = tmp_path / "rows.jsonl"
    # Each tenth row equals the row before it, in the same call or in another one.
    texts = [f"Card {number - number % 10 // 9} is lost" for number in range(100)]
    source.write_text("".join(json.dumps({"message": text}) + "\n" for text in texts))
    automaton = Automaton.from_dict(ROUTING)
    outputs, calls = [], []
    for number, concurrency in enumerate((4, 4, 3)):
        backend = CountingLM()
        output = tmp_path / f"{number}.jsonl"
        with cached(path, backend) as model:
            run_file(Run(automaton, model, concurrency=concurrency), source, output)
        outputs.append(output.read_bytes())
        calls.append(len(backend.calls))
    assert calls[0] >= 20
    assert calls[1:] == [0, 0]
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0].splitlines()) == 100
    assert b'"error": {' not in outputs[0]


def test_only_the_missing_trees_of_a_call_are_evaluated(path: Path) -> None:
    prompts = [f"Prompt {number}: " for number in range(5)]
    plain = Model(CountingLM()).choose_many(prompts, CHOICES)
    with cached(path, CountingLM()) as model:
        model.choose_many(prompts[1:3], CHOICES)
    backend = CountingLM()
    with cached(path, backend) as model:
        results = model.choose_many([*prompts, prompts[0]], CHOICES)
    assert backend.queries == [3]
    for result, expected in zip(results, [*plain, plain[0]], strict=True):
        assert [s.token_logprobs for s in result.scores] == [
            s.token_logprobs for s in expected.scores
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cached_rows_are_bit_identical_and_writable(path: Path, dtype: Any) -> None:
    class Wide(CountingLM):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            row = super().greedy_impl(tokens).astype(dtype)
            row[3] = -np.inf
            return row

    backend = Wide()
    with cached(path, backend) as model:
        first, second = model.greedy("x"), model.greedy("x")
    assert backend.calls == ["greedy_impl"]
    assert first.dtype == second.dtype == dtype
    assert first.tobytes() == second.tobytes()
    second[0] = 0.0


def test_completions_are_cached_unless_sampled_without_a_seed(path: Path) -> None:
    for arguments, asked in (
        ({}, 1),
        ({"temperature": 1.0, "seed": 3, "n": 2}, 1),
        ({"temperature": 1.0}, 3),
        ({"stop": ["a", "e"], "max_tokens": 99}, 1),
    ):
        backend = CountingLM()
        with cached(path, backend) as model:
            results = [model.complete("Once", **arguments) for _ in range(3)]
        assert len(backend.calls) == asked, arguments
        if asked == 1:
            assert results[0] == results[1] == results[2]


def test_a_cached_completion_is_streamed(path: Path) -> None:
    with cached(path, CountingLM()) as model:
        written = model.complete("Once", max_tokens=9)
    backend = CountingLM()
    with cached(path, backend) as model:
        assert "".join(model.stream("Once", max_tokens=9)) == written.text
        assert backend.calls == []
        assert len(list(model.stream("Another", max_tokens=9))) > 3


class Choosing(CountingLM):
    """A backend that scores choices itself, like a server."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        self.calls.append("choose")
        return RandomLM().choose(
            request.prompt, request.choices, norm=request.norm, suffix=request.suffix
        )


def test_choices_that_a_backend_scores_itself_are_cached(path: Path) -> None:
    backend = Choosing()
    with cached(path, backend) as model:
        results = [model.choose("Sure?", CHOICES) for _ in range(2)]
        assert results[0] == results[1]
        model.choose("Sure?", CHOICES, norm="mean")
        model.choose("Sure?", CHOICES[::-1])
    assert backend.calls == ["choose"] * 3


@pytest.mark.parametrize("end", ["EOS", None])
def test_the_suffix_eos_and_its_text_have_different_keys(path: Path, end: str | None) -> None:
    from autocog_core import EOS

    backend = Choosing()
    with cached(path, backend) as model:
        model.choose("Sure?", CHOICES, suffix=EOS)
        model.choose("Sure?", CHOICES, suffix=end)
    assert len(backend.calls) == 2


@pytest.mark.parametrize("options", [{"seed": 1}, {"vocabulary": "merges"}, {"bos": False}])
def test_another_fingerprint_has_separate_entries(path: Path, options: dict[str, Any]) -> None:
    with cached(path, CountingLM()) as model:
        model.choose("Sure?", CHOICES)
    backend = CountingLM(**options)
    with cached(path, backend) as model:
        scores = model.choose("Sure?", CHOICES)
    assert backend.calls
    assert scores == Model(CountingLM(**options)).choose("Sure?", CHOICES)


class NoFingerprint(CountingLM):
    def describe_impl(self) -> BackendInfo:
        from dataclasses import replace

        return replace(super().describe_impl(), compute_fingerprint=None)


class Undescribed:
    """A backend without `describe`: core calls it for a row to learn its width."""

    def __init__(self) -> None:
        self.plain = Plain()

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return self.plain.tokenize(texts, at_start, parse_special)

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return self.plain.greedy_impl(tokens)


@pytest.mark.parametrize("make", [NoFingerprint, Undescribed])
def test_a_model_without_fingerprint_is_not_cached(path: Path, make: Callable[[], Any]) -> None:
    backend = make()
    with cached(path, backend) as model:
        model.greedy("x")
        before = len(getattr(backend, "calls", ()) or backend.plain.calls)
        model.greedy("x")
    assert len(getattr(backend, "calls", ()) or backend.plain.calls) == before + 1


class Halved:
    """A wrapper that halves all log-probabilities."""

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Generator[None, Any, Any]:
        answers: list[TreeScores] = yield
        return [
            TreeScores(
                values=scores.values / 2,
                top_tokens=scores.top_tokens,
                top_logprobs=scores.top_logprobs / 2,
                tokens_evaluated=scores.tokens_evaluated,
            )
            for scores in answers
        ]


@pytest.mark.parametrize("cache_first", [True, False])
def test_changes_of_wrappers_are_applied_once_and_not_cached(path: Path, cache_first: bool) -> None:
    plain = Model(CountingLM()).choose("Sure?", CHOICES)
    for _ in range(2):
        wrappers = [Cache(path=path), Halved()][:: 1 if cache_first else -1]
        with Model(CountingLM(), wrappers=wrappers) as model:
            # The second time, the cache has half of it.
            result = model.choose_many(["Sure?", "Really?"], CHOICES)[0]
        assert result.best.logprob == pytest.approx(plain.scores[result.index].logprob / 2)
    backend = CountingLM()
    with cached(path, backend) as model:
        assert model.choose("Sure?", CHOICES) == plain
    assert backend.calls == []


class Elsewhere:
    """A lookup that answers one call."""

    @hookimpl(tryfirst=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        if tokens[-1] != ord("y"):
            return None
        row = np.full(RandomLM().as_model().info.vocabulary_size, -np.inf, dtype=np.float32)
        row[0] = 0.0
        return row


def test_lookups_are_called_in_their_order(path: Path) -> None:
    backend = CountingLM()
    with cached(path, backend, Elsewhere()) as model:
        assert model.greedy("y")[0] == 0.0
        assert model.greedy("x").tobytes() == RandomLM().greedy("x").tobytes()
    assert backend.calls == ["greedy_impl"]


def test_refused_answers_are_not_cached(path: Path) -> None:
    class Once(CountingLM):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            row = super().greedy_impl(tokens)
            return row * np.nan if len(self.calls) == 1 else row

    backend = Once()
    with cached(path, backend) as model:
        with pytest.raises(NumericsError):
            model.greedy("x")
        assert np.isfinite(model.greedy("x")).all()


def test_a_retried_call_is_cached(path: Path) -> None:
    from autocog_core import EngineError

    class Shaky(CountingLM):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            row = super().greedy_impl(tokens)
            if len(self.calls) == 1:
                raise EngineError("busy", retryable=True)
            return row

    backend = Shaky()
    retry = RetryPolicy(retries=1, delta=0.0)
    with Model(backend, wrappers=[Cache(path=path)], retry=retry) as model:
        assert model.greedy("x").tobytes() == model.greedy("x").tobytes()
    assert len(backend.calls) == 2


def test_the_config_names_a_cache_with_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    config = tmp_path / "there" / "autocog.toml"
    wrappers = '[{ name = "cache", options = { max_size_gb = 0.01, path = "cache/my.sqlite" } }]'
    config.write_text(f'[models.m]\nbackend = "random"\nwrappers = {wrappers}\n')
    with load(config=config) as model:
        model.greedy("x")
    assert (tmp_path / "there" / "cache" / "my.sqlite").exists()
    config.write_text(config.read_text().replace("max_size_gb", "size"))
    with pytest.raises(ConfigError, match=r"wrappers\.cache\.size: unknown key.*max_size_gb"):
        load(config=config)
    config.write_text(config.read_text().replace("size = 0.01", "max_size_gb = 0"))
    with pytest.raises(ConfigError, match="greater than 0"):
        load(config=config)


def test_the_default_file_is_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "all"))
    with Model(CountingLM(), wrappers=[Cache()]) as model:
        model.greedy("x")
    assert (tmp_path / "all" / "answers" / "answers.sqlite").exists()


def test_one_cache_wraps_one_model(path: Path) -> None:
    cache = Cache(path=path)
    Model(CountingLM(), wrappers=[cache])
    with pytest.raises(UsageError, match="wraps CountingLM already"):
        Model(CountingLM(seed=1), wrappers=[cache])


@pytest.mark.parametrize("content", [b"no database at all" * 500, b""])
def test_a_file_that_is_not_a_database_is_recreated(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    backend = CountingLM()
    with cached(path, backend) as model, caplog.at_level(logging.WARNING):
        expected = model.greedy("x").tobytes()
        model.greedy("x")
        assert model.greedy("x").tobytes() == expected
    assert len(backend.calls) <= 2
    assert ("damaged" in caplog.text) == bool(content)
    assert len(caplog.records) == bool(content)
