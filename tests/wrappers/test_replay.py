"""`record` and `replay`: the same answers without the model, and errors for other calls."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    Automaton,
    CapabilityError,
    ConfigError,
    ContextOverflowError,
    InputError,
    Model,
    hookimpl,
    load,
)
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.recording_lines import encode_line
from autocog_core.wrappers.replay import NotRecordedError
from tests.support.small_backends import CharTokenizer
from tests.wrappers.counting import CountingLM

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Inputs of each program.
PROGRAMS: dict[str, dict[str, Any]] = {
    "invoices": {"text": "2 tickets for 64.50 GBP, paid."},
    "multi_label": {"review": "Late."},
    "quiz": {"question": "What is red?", "choices": ["a rose", "grass", "the sea"]},
    "routing": {"message": "Where is my card?"},
    "second_opinion": {},
    "shopping_list": {},
    "speed_of_light": {},
    "triage": {"message": "It broke."},
}
CHOICES = ["yes", "no", "yes, of course"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.jsonl"


def recorded(path: Path, backend: object, *inside: object) -> Model:
    return Model(backend, wrappers=[Record(path=path), *inside])


def replayed(path: Path) -> Model:
    return load(backend="replay", options={"path": str(path)})


def without_times(value: Any) -> Any:
    """Return a tree's data without durations."""
    if isinstance(value, Mapping):
        return {k: without_times(v) for k, v in value.items() if "seconds" not in k}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def run(name: str, model: Model) -> Any:
    values = dict(PROGRAMS[name])
    automaton = Automaton.from_file(EXAMPLES / name / f"{name}.yaml")
    if name == "routing":
        # With all intents, a byte vocabulary would take long to record.
        values["intents"] = automaton.inputs["intents"].default[:12]
    return without_times(automaton.run(model, values).to_dict())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Recordings of each example on `random`, and their trees."""
    folder = tmp_path_factory.mktemp("recordings")
    trees = {}
    for name in PROGRAMS:
        with recorded(folder / f"{name}.jsonl.gz", RandomLM(seed=5)) as model:
            trees[name] = run(name, model)
    return folder, trees


def test_the_examples_run_from_recordings_without_the_engine(
    recordings: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: RandomLM, tokens: Sequence[int]) -> Any:
        raise AssertionError("the engine was called")

    monkeypatch.setattr(RandomLM, "greedy_impl", fail)
    folder, trees = recordings
    assert sorted(PROGRAMS) == sorted(path.stem for path in EXAMPLES.glob("*/*.yaml"))
    for name in PROGRAMS:
        with replayed(folder / f"{name}.jsonl.gz") as model:
            assert run(name, model) == trees[name], name


def test_recordings_of_the_examples_are_small(
    recordings: tuple[Path, dict[str, Any]],
) -> None:
    for recording in recordings[0].glob("*.gz"):
        assert recording.stat().st_size < 60_000, recording.name


MESSAGES = [{"role": "user", "content": "Hi <|eos|>"}]
#: A call of each kind.
CALLS: list[Callable[[Model], Any]] = [
    lambda model: model.tokenize("Hello"),
    lambda model: model.tokenize("Hello", at_start=False),
    lambda model: model.detokenize_bytes([200, 201, 65]),
    lambda model: model.greedy("Hello").tobytes(),
    lambda model: model.next_tokens("Hello", k=3),
    lambda model: model.complete("Hello", max_tokens=5),
    lambda model: model.complete("Hello", max_tokens=5, temperature=1.0, seed=1, n=3),
    lambda model: model.complete("Hello", max_tokens=5, regex="[ab]+", stop="c"),
    lambda model: model.complete("Hello", max_tokens=5, regex="[ab]+", temperature=1.0, n=2),
    lambda model: model.complete(messages=MESSAGES, max_tokens=3),
    lambda model: model.choose("Hello", CHOICES),
    lambda model: model.choose("Hello", CHOICES, norm="pmi", unconditional_prompt=" "),
    lambda model: model.choose_many(["One", "Two"], CHOICES),
    lambda model: model.chat_prompt(MESSAGES),
    lambda model: list(model.client.vocabulary()),
    lambda model: (
        model.info.fingerprint,
        model.capabilities,
        replace(model.info, compute_fingerprint=None, capabilities=()),
    ),
]


@pytest.mark.parametrize("make", [RandomLM, CountingLM, lambda: TableLM(rows={"H": {"i": 1.0}})])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_each_kind_of_call_is_replayed_in_any_order(
    tmp_path: Path, make: Callable[[], Any], suffix: str
) -> None:
    path = tmp_path / f"all.jsonl{suffix}"
    with recorded(path, make()) as model:
        expected = [call(model) for call in CALLS]
    with replayed(path) as model:
        results = [call(model) for call in reversed(CALLS)]
    for number, (result, replay) in enumerate(zip(expected, reversed(results), strict=True)):
        assert result == replay, number


def test_log_probabilities_of_minus_infinity_are_replayed(path: Path) -> None:
    with recorded(path, TableLM(rows={"": {"a": 1.0}})) as model:
        expected = model.choose("", ["a", "b"])
        row = model.greedy("")
    assert expected.scores[1].logprob == -np.inf
    assert "Infinity" not in path.read_text()
    with replayed(path) as model:
        assert model.choose("", ["a", "b"]) == expected
        assert model.greedy("").tobytes() == row.tobytes()


def test_rows_are_not_written_as_text(path: Path) -> None:
    with recorded(path, RandomLM()) as model:
        bytes_in_row = model.greedy([5]).nbytes
        before = path.stat().st_size
        model.greedy([6])
    assert path.stat().st_size - before < bytes_in_row * 4 / 3 + 200


def test_the_same_call_is_recorded_once(path: Path) -> None:
    with recorded(path, RandomLM()) as model:
        for _ in range(3):
            model.choose("Sure?", CHOICES)
    first = path.read_bytes()
    with recorded(path, RandomLM()) as model:
        model.choose("Sure?", CHOICES)
    assert path.read_bytes() == first
    hooks = [json.loads(line).get("hook") for line in first.splitlines()]
    # Without the calls that core made for the choice: token trees and rows.
    assert set(hooks) == {None, "tokenize", "detokenize", "choose"}
    assert hooks.count("choose") == 1


def test_a_later_run_appends_to_a_recording(path: Path) -> None:
    for prompt in ("One", "Two"):
        with recorded(path, RandomLM()) as model:
            model.choose(prompt, CHOICES)
    with replayed(path) as model:
        results = [model.choose(prompt, CHOICES) for prompt in ("Two", "One")]
    assert results == [RandomLM().choose(prompt, CHOICES) for prompt in ("Two", "One")]


@pytest.mark.parametrize("make", [RandomLM, CountingLM])
def test_samples_without_a_seed_are_replayed_in_their_order(
    path: Path, make: Callable[[], Any]
) -> None:
    def draw(model: Model) -> Completion:
        return model.complete("Once", max_tokens=8, temperature=1.0)

    with recorded(path, make()) as model:
        expected = [draw(model) for _ in range(4)]
    assert len(set(expected)) > 1
    for _ in range(2):
        with replayed(path) as model:
            assert [draw(model) for _ in range(4)] == expected
            with pytest.raises(NotRecordedError, match=r"complete of .*Once.* 5 times"):
                draw(model)


def test_a_replayed_completion_is_streamed(path: Path) -> None:
    with recorded(path, RandomLM()) as model:
        written = "".join(model.stream("Once", max_tokens=8))
    with replayed(path) as model:
        assert "".join(model.stream("Once", max_tokens=8)) == written


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.tokenize("other"), "tokenize of .*'text': 'other'"),
        (lambda model: model.detokenize([1]), r"detokenize of \[1\]"),
        (lambda model: model.greedy([1, 2]), r"greedy_impl of \[1, 2\]"),
        (lambda model: model.next_tokens([1, 2]), r"greedy_tree_impl of .*'prefix': \[1, 2\]"),
        (lambda model: model.complete("other"), "complete of .*other"),
        (lambda model: model.choose("other", ["a", "b"]), "choose of .*other.*'choices': ..a., .b"),
        (lambda model: model.choose("Sure?", CHOICES[:2]), "choose of .*Sure"),
        (lambda model: model.chat_prompt(MESSAGES), "chat_prompt of .*Hi"),
        (lambda model: model.client.vocabulary(), "vocabulary of"),
    ],
)
def test_a_call_that_was_not_recorded_is_named(
    path: Path, call: Callable[[Model], Any], message: str
) -> None:
    with recorded(path, RandomLM()) as model:
        model.choose("Sure?", CHOICES)
        model.choose_many(["Many?"], CHOICES)
    with replayed(path) as model, pytest.raises(NotRecordedError, match=message) as caught:
        call(model)
    assert str(path) in str(caught.value)
    assert 'wrapper "record"' in caught.value.hint
    assert not caught.value.retryable
    assert len(str(caught.value)) < 700


behind = RandomLM()


class OnlyChooses:
    """A backend like a server without token distributions."""

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(
            name="server", vocabulary_size=260, max_concurrency=4, compute_fingerprint=lambda: "it"
        )

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return behind.tokenize_impl(texts, at_start, parse_special)

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return behind.detokenize_impl(tokens)

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        return replace(behind.choose(request.prompt, request.choices), exact=False)

    @hookimpl
    def complete(self, request: Any) -> Completion:
        return replace(behind.complete(request.prompt, max_tokens=9), logprobs=None)


def test_the_replay_of_a_server_has_its_capabilities(path: Path) -> None:
    with recorded(path, OnlyChooses()) as model:
        trees = [run(name, model) for name in ("quiz", "triage")]
        choices = model.choose_many(["One", "Two"], CHOICES)
    assert trees[0]["provenance"]["strategy"] == "text"
    with replayed(path) as model:
        assert model.capabilities == ("choose", "complete", "describe", "detokenize", "tokenize")
        assert model.choose_many(["Two"], CHOICES) == choices[1:]
        assert [run(name, model) for name in ("quiz", "triage")] == trees
        with pytest.raises(CapabilityError, match="chat_prompt"):
            model.chat_prompt(MESSAGES)


def test_a_recorded_model_without_description_can_be_replayed(path: Path) -> None:
    class Undescribed(CharTokenizer):
        describe = None  # type: ignore[assignment]

    with recorded(path, Undescribed()) as model:
        expected = model.choose([1], CHOICES)
    with replayed(path) as model:
        assert model.choose([1], CHOICES) == expected
        assert model.info.vocabulary_size == 130


@pytest.mark.parametrize("record_first", [True, False])
def test_answers_of_a_cache_are_recorded(path: Path, tmp_path: Path, record_first: bool) -> None:
    for _ in range(2):
        path.unlink(missing_ok=True)
        backend = CountingLM()
        wrappers = [Record(path=path), Cache(path=tmp_path / "kept.sqlite")]
        with Model(backend, wrappers=wrappers[:: 1 if record_first else -1]) as model:
            expected = model.choose_many(["One", "Two"], CHOICES)
    assert backend.calls == []
    with replayed(path) as model:
        assert model.choose_many(["Two", "One"], CHOICES) == expected[::-1]


def test_calls_that_fail_are_not_recorded(path: Path) -> None:
    with recorded(path, RandomLM(context_length=10)) as model:
        model.greedy("short")
        with pytest.raises(ContextOverflowError):
            model.complete("much too long", max_tokens=50)
    assert "complete" not in "".join(path.read_text().splitlines()[1:])


def test_a_recording_of_another_model_is_refused_and_unchanged(path: Path) -> None:
    with recorded(path, RandomLM(seed=1)) as model:
        model.greedy("x")
    before = path.read_bytes()
    with (
        recorded(path, RandomLM(seed=2)) as model,
        pytest.raises(InputError, match="another model"),
    ):
        model.greedy("x")
    assert path.read_bytes() == before
    with recorded(path, RandomLM(seed=1)) as model:
        model.greedy("x")


def test_two_models_at_once_need_two_files(path: Path) -> None:
    with recorded(path, RandomLM()) as first, recorded(path, RandomLM()) as second:
        first.greedy("x")
        with pytest.raises(InputError, match="another model is recorded to it"):
            second.greedy("x")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_truncated_recording_is_read_and_continued(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.jsonl{suffix}"
    with recorded(path, RandomLM()) as model:
        for number in range(30):
            model.greedy(f"{number}")
    path.write_bytes(path.read_bytes()[:-700])
    with replayed(path) as model:
        model.client.greedy([256, ord("0")]) if not suffix else None
        answers = model.backend._recording.answers  # type: ignore[attr-defined]
    assert 0 < len(answers) < 60
    with recorded(path, RandomLM()) as model:
        for number in range(30):
            model.greedy(f"{number}")
    with replayed(path) as model:
        for number in range(30):
            assert model.greedy(f"{number}").tobytes() == RandomLM().greedy(f"{number}").tobytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        (b"", "not a line of a recording"),
        (b'{"some": "JSON"}\n', "not a recording that this version"),
        (b"\x00\xff" * 100 + b"\n", "not a line of a recording"),
        (b"[1]\n", "not a line of a recording"),
    ],
)
def test_other_files_are_refused(path: Path, text: bytes | None, message: str) -> None:
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InputError, match=message):
        replayed(path)
    if text:
        with (
            recorded(path, RandomLM()) as model,
            pytest.raises(InputError, match="recording"),
        ):
            model.greedy("x")
        assert path.read_bytes() == text


@pytest.mark.parametrize("line", ["no JSON", "{}", '{"key": "aa", "answer": 1, "raw": "%"}'])
def test_a_damaged_line_is_named(path: Path, line: str) -> None:
    with recorded(path, RandomLM()) as model:
        model.greedy("x")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(InputError, match="line 3"):
        replayed(path)


def test_a_damaged_answer_is_named(path: Path) -> None:
    with recorded(path, RandomLM()) as model:
        model.greedy([5])
    head, line = path.read_bytes().splitlines(keepends=True)
    changed = json.loads(line) | {"raw": "AAAA"}
    del changed["checksum"]
    path.write_bytes(head + encode_line(2, changed))
    with replayed(path) as model, pytest.raises(InputError, match="greedy_impl is damaged"):
        model.greedy([5])


def test_arguments_that_are_not_plain_data_cannot_be_recorded(path: Path) -> None:
    class Odd(CountingLM):
        pass

    with (
        recorded(path, Odd()) as model,
        pytest.raises(InputError, match="arguments cannot be recorded"),
    ):
        model.complete("x", something=object())


def test_the_config_names_a_recording(tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    config.write_text(
        """
        [models.live]
        backend = "random"
        wrappers = [{ name = "record", options = { path = "tape.jsonl.gz" } }]
        [models.tape]
        backend = "replay"
        options = { path = "tape.jsonl.gz" }
        """
    )
    with load("live", config=config) as model:
        expected = model.choose("Sure?", CHOICES)
    tape = gzip.decompress((tmp_path / "tape.jsonl.gz").read_bytes())
    assert tape.startswith(b'{"autocog recording":2')
    with load("tape", config=config) as model:
        assert model.choose("Sure?", CHOICES) == expected
    config.write_text('[models.live]\nbackend = "random"\nwrappers = ["record"]\n')
    with pytest.raises(ConfigError, match=r"wrappers\.record\.path: field required"):
        load("live", config=config)
