"""The examples on SmolLM2, on both engines: every number that of a plain forward, no work twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Choose, Complete, Model, Text, ThoughtPath, ThoughtTree
from autocog_core.config.options import package_file
from tests.support.automata import comparing
from tests.support.automata.comparing import check_tree
from tests.support.automata.reading import Ids, Reader
from tests.support.automata.reference_evaluator import SlowEvaluation
from tests.support.engines import (
    SMOL,
    Engine,
    Needed,
    float32_weights,
    llama_cpp_engine,
    transformers_engine,
)

pytest.importorskip("autocog_tf")
pytest.importorskip("autocog_llamacpp")
pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {
    "quiz": "questions.jsonl",
    "routing": "messages.jsonl",
    "triage": "messages.jsonl",
    "speed_of_light": None,
    "shopping_list": None,
}
QUESTIONS = (EXAMPLES / "quiz" / "questions.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.fixture(autouse=True)
def _tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "NEAR", 1e-4)


@pytest.fixture(scope="module", params=["tf", "llamacpp"])
def engine(request: Any, tmp_path_factory: Any) -> Iterator[Engine]:
    if request.param == "tf":
        with transformers_engine() as found:
            yield found
        return
    with llama_cpp_engine(float32_weights(tmp_path_factory.mktemp("smol") / "f32.gguf")) as found:
        yield found


def program(name: str) -> Automaton:
    return Automaton.from_file(EXAMPLES / name / f"{name}.yaml")


def values(name: str, row: int = 0) -> dict[str, Any]:
    file = PROGRAMS[name]
    if file is None:
        return {}
    lines = (EXAMPLES / name / file).read_text(encoding="utf-8").splitlines()
    return dict(json.loads(lines[row]))


class PlainReader(Reader):
    """The twin's look at a model, by plain forwards that are kept."""

    def __init__(self, model: Model, seen: Counter[str], rows: Any) -> None:
        super().__init__(model, seen)
        self._rows = rows
        self._kept: dict[Ids, Any] = {}

    def row(self, ids: Ids) -> Any:
        if ids not in self._kept:
            self._kept[ids] = self._rows(ids, 1)[0]
        return self._kept[ids]

    def logprobs(self, before: Ids, tokens: Sequence[int]) -> tuple[float, ...]:
        rows = self._rows((*before, *tokens), len(tokens) + 1)
        return tuple(float(rows[place][token]) for place, token in enumerate(tokens))


def twin(engine: Engine, automaton: Automaton) -> Any:
    slow = SlowEvaluation(automaton, {None: engine.model}, most=1000)
    slow.readers = {None: PlainReader(engine.model, slow.seen, engine.rows)}
    return slow.run()


@pytest.mark.parametrize("name", PROGRAMS)
def test_examples_equal_plain_forwards(engine: Engine, name: str) -> None:
    given = values(name)
    if name == "routing":
        # The slow way takes a forward for every token of every intent.
        given["intents"] = program(name).inputs["intents"].default[:8]
    automaton = program(name).bind(given)
    check_tree(automaton.run(engine.model), twin(engine, automaton))


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_evaluated_twice(engine: Engine, name: str) -> None:
    automaton = program(name)
    engine.forget()
    with engine.counted() as work, Needed(engine.model) as needed:
        automaton.run(engine.model, values(name))
    assert work.tokens / len(needed) <= 1.05
    if engine.model.caller.offers_evaluate:
        engine.forget()
        with engine.counted() as own:
            automaton.run(engine.model, values(name))
        assert own.tokens == work.tokens


def test_beams_evaluate_nothing_twice(engine: Engine) -> None:
    automaton = beams("Once upon a time", beams=4, length=32)
    engine.forget()
    with engine.counted() as work, Needed(engine.model) as needed:
        automaton.run(engine.model)
    assert work.tokens / len(needed) <= 1.05
    if engine.model.caller.offers_evaluate:
        engine.forget()
        with engine.counted() as own:
            automaton.run(engine.model)
        assert own.tokens == work.tokens


@pytest.fixture(scope="module")
def quantized() -> Iterator[Engine]:
    with llama_cpp_engine(package_file(SMOL), exact=False) as found:
        yield found


@pytest.mark.parametrize("name", PROGRAMS)
def test_quantized_weights_keep_to_their_declared_tolerance(quantized: Engine, name: str) -> None:
    tree = program(name).run(quantized.model, values(name))
    seen = 0
    for path in (ThoughtPath(tree, index) for index in range(len(tree.nodes))):
        before, decided = said(quantized.model, path)
        if before is None or not path.end.logprobs:
            continue
        rows = quantized.rows((*before, *decided), len(decided) + 1)
        plain = [float(rows[place][token]) for place, token in enumerate(decided)]
        assert path.end.logprobs == pytest.approx(plain, abs=quantized.model.info.tolerance)
        seen += 1
    assert seen >= 3


def said(model: Model, path: ThoughtPath) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """What a path's last node continues, and its tokens; None where a stop was split in a token."""
    before: list[int] = []
    for node in path.nodes[:-1]:
        kept = len(node.tokens)
        raw = node.text.encode()
        # A stop or an end was decided, but is not handed on.
        while (
            kept
            and node.finish in ("stop", "eos")
            and model.detokenize_bytes(node.tokens[:kept]) != raw
        ):
            kept -= 1
        if node.finish == "eos":
            kept = min(kept, len(node.tokens) - 1)
        before += node.tokens[:kept]
        if node.retokenized:
            return None, path.end.tokens
    return tuple(before), path.end.tokens


def test_the_speed_of_light_always_reads_like_a_speed(engine: Engine) -> None:
    pattern = r"[1-9][0-9]{0,2}(,[0-9]{3})* (km/s|m/s|km/h)"
    automaton = program("speed_of_light")
    for given in ("The speed of light is", "She ran at", "Nothing moves faster than", "1 + 1 ="):
        first = automaton.actions[0]
        assert isinstance(first, Text)
        changed = Automaton(
            [Text(uid=first.uid, text=given, successors=first.successors), *automaton.actions[1:]],
            automaton.vocabs,
        )
        path = changed.run(engine.model).best()
        said = path.text.removeprefix(given + " ")
        assert re.fullmatch(pattern, said), said


def test_rows_together_and_alone_agree(engine: Engine) -> None:

    automaton = program("triage")
    rows = [values("triage", number) for number in range(4)]
    alone = list(automaton.run_many(engine.model, rows))
    together = list(automaton.run_many(engine.model, rows, concurrency=4))
    for one, other in zip(alone, together, strict=True):
        assert isinstance(one, ThoughtTree)
        assert isinstance(other, ThoughtTree)
        assert one.fields == other.fields
        for node, same in zip(one.nodes, other.nodes, strict=True):
            assert (node.uid, node.text, node.tokens) == (same.uid, same.text, same.tokens)
            assert node.logprobs == pytest.approx(same.logprobs, abs=1e-4)


def beams(text: str, *, beams: int, length: int) -> Automaton:
    return Automaton(
        [
            Text(uid="prompt", text=text, successors=("beams",)),
            Complete(uid="beams", length=length, beams=beams, width=None),
        ]
    )


@pytest.mark.parametrize("number", range(4))
def test_beam_search_is_transformers_own(number: int) -> None:
    """Score for score; benchmarks/beam_search.py has more prompts, and the times."""
    import torch

    with transformers_engine() as found:
        question = json.loads(QUESTIONS[number])["question"]
        tree = beams(f"Question: {question}\nAnswer:", beams=4, length=64).run(found.model)
        ids = found.model.encode(f"Question: {question}\nAnswer:")
        hugging_face = found.model._backend._open.model  # type: ignore[attr-defined]
        expected = hugging_face.generate(
            torch.tensor([ids]),
            num_beams=4,
            early_stopping="never",
            max_new_tokens=64,
            length_penalty=1.0,
            do_sample=False,
            num_return_sequences=4,
            output_scores=True,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
    scores = [node.logprob / node.length for node in tree.nodes if node.uid == "beams"]
    assert scores == pytest.approx(expected.sequences_scores.tolist(), abs=1e-4)


def test_a_choice_may_follow_what_was_written(engine: Engine) -> None:
    """A stop inside a token, and what follows it: the tokens are those of a plain spelling."""
    automaton = Automaton(
        [
            Text(uid="a", text="Colours: red, green,", successors=("b",)),
            Complete(uid="b", length=8, stop=("e",), successors=("c",)),
            Text(uid="c", text=" and", successors=("d",)),
            Choose(uid="d", choices=(" blue", " black", " purple"), width=None),
        ]
    )
    check_tree(automaton.run(engine.model), twin(engine, automaton))
