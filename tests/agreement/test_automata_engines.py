"""The examples on SmolLM2, on both engines: every number that of a plain forward, no work twice."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Choose, Complete, Model, Text, ThoughtPath, ThoughtTree
from autocog_core.automaton import Action, Vocabulary
from autocog_core.automaton.binding import fill_templates
from autocog_core.automaton.inputs import convert_values
from autocog_core.automaton.templates.field_values import FIELDS, Fields, FieldValue
from tests.support.automata import comparing
from tests.support.automata.comparing import check_tree
from tests.support.automata.reading import Ids, Reader
from tests.support.automata.reference_evaluator import SlowEvaluation
from tests.support.engines import (
    Engine,
    RequiredTokens,
)
from tests.support.soak import SOAK, count

pytest.importorskip("autocog_tf")
pytest.importorskip("autocog_llamacpp")
pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {
    "multi_label": "reviews.jsonl",
    "quiz": "questions.jsonl",
    "routing": "messages.jsonl",
    "triage": "messages.jsonl",
    "speed_of_light": None,
    "second_opinion": None,
    "shopping_list": None,
}
#: Programs with groups; tests/automata/test_drawn_groups.py has their twin.
GROUPED = {"multi_label"}
#: Compared with plain forwards in every run: each program on one of the engines.
COMPARED = {
    *(("tf", name) for name in ("routing", "triage", "speed_of_light")),
    *(("llamacpp", name) for name in ("quiz", "shopping_list")),
}
QUESTIONS = (EXAMPLES / "quiz" / "questions.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.fixture(autouse=True)
def _tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "NEAR", 1e-4)


@pytest.fixture(scope="module", params=["tf", "llamacpp"])
def engine(request: Any) -> Engine:
    found: Engine = request.getfixturevalue(f"{request.param}_float32")
    return found


def program(name: str) -> Automaton:
    return Automaton.from_file(EXAMPLES / name / f"{name}.yaml")


def values(name: str, row: int = 0) -> dict[str, Any]:
    file = PROGRAMS[name]
    if file is None:
        return {}
    lines = (EXAMPLES / name / file).read_text(encoding="utf-8").splitlines()
    return dict(json.loads(lines[row]))


def shortened(name: str) -> dict[str, Any]:
    """Fewer desks to send a message to, but before a release."""
    given = values(name)
    if name == "routing":
        given["intents"] = program(name).inputs["intents"].default[: count(24, 77)]
    return given


class PlainReader(Reader):
    """The twin's look at a model, by plain forwards that are kept."""

    def __init__(self, model: Model, seen: Counter[str], rows: Any) -> None:
        super().__init__(model, seen)
        self.model = model
        self._rows = rows
        self._kept: dict[Ids, Any] = {}
        self._members: dict[tuple[int, int], bool] = {}

    def keep(self, ids: Ids) -> None:
        """Keep what follows each of these tokens: one forward in place of one for every row."""
        if ids not in self._kept:
            found = self._rows(ids, len(ids))
            self._kept |= {ids[: place + 1]: row for place, row in enumerate(found)}

    def row(self, ids: Ids) -> Any:
        if ids not in self._kept:
            self._kept[ids] = self._rows(ids, 1)[0]
        return self._kept[ids]

    def logprobs(self, before: Ids, tokens: Sequence[int]) -> tuple[float, ...]:
        self.keep((*before, *tokens))
        return super().logprobs(before, tokens)

    def is_in(self, vocabulary: Vocabulary, token: int) -> bool:
        key = id(vocabulary), token
        if key not in self._members:
            self._members[key] = super().is_in(vocabulary, token)
        return self._members[key]


def texts(reader: PlainReader, automaton: Automaton, tree: ThoughtTree) -> Iterator[Ids]:
    """All that the paths of a tree say, and their choices after what goes before them for PMI."""
    for path in paths(tree):
        before, decided = said(reader.model, path)
        if before is not None:
            yield (*before, *decided)
        action = automaton.by_uid[path.end.uid]
        if isinstance(action, Choose) and action.unconditional_prompt:
            yield (*reader.tokens_of(action.unconditional_prompt, at_start=True), *decided)


def twin(engine: Engine, automaton: Automaton, tree: ThoughtTree) -> Any:
    """What is expected, from plain forwards: of the tree's paths, and of all else that is asked."""
    inputs = convert_values(automaton.inputs, {})
    slow = SlowEvaluation(automaton, {None: engine.model}, most=1000, fill=partial(fill, inputs))
    reader = PlainReader(engine.model, slow.seen, engine.rows)
    slow.readers = {None: reader}
    if not SOAK:
        for ids in sorted(texts(reader, automaton, tree), key=len, reverse=True):
            reader.keep(ids)
    return slow.run()


def fill(
    inputs: Mapping[str, Any], action: Action, fields: Mapping[str, list[tuple[str, float]]]
) -> Action:
    """Return an action with its template filled in; tests/automata has a twin of templates."""
    values = {name: [FieldValue(*value) for value in of_field] for name, of_field in fields.items()}
    return fill_templates(action, {**inputs, FIELDS: Fields.of(values, frozenset())})


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        pytest.param(*pair, marks=() if pair in COMPARED else pytest.mark.soak)
        for pair in product(("tf", "llamacpp"), PROGRAMS)
        if pair[1] not in GROUPED
    ],
    indirect=["engine"],
)
def test_examples_equal_plain_forwards(engine: Engine, name: str) -> None:
    given = values(name)
    if name == "routing":
        # The slow way takes a forward for every token of every intent.
        given["intents"] = program(name).inputs["intents"].default[:8]
    automaton = program(name).bind(given)
    tree = automaton.run(engine.model)
    fresh = {action.uid for action in automaton.actions if action.context == "fresh"}
    check_tree(tree, twin(engine, automaton, tree), fresh)


@pytest.mark.parametrize(
    "name",
    [
        *("multi_label", "quiz", "routing", "triage", "speed_of_light"),
        pytest.param("second_opinion", marks=pytest.mark.soak),
        pytest.param("shopping_list", marks=pytest.mark.soak),
    ],
)
def test_nothing_is_evaluated_twice(engine: Engine, name: str) -> None:
    automaton = program(name)
    given = shortened(name)
    engine.clear_caches()
    with engine.counted() as work, RequiredTokens(engine.model) as needed:
        automaton.run(engine.model, given)
    assert work.tokens / len(needed) <= 1.05
    if engine.model.client.hooks.run_automata.get_hookimpls():
        engine.clear_caches()
        with engine.counted() as own:
            automaton.run(engine.model, given)
        assert own.tokens == work.tokens


def test_beams_evaluate_nothing_twice(engine: Engine) -> None:
    automaton = beams("Once upon a time", beams=4, length=count(8, 32))
    engine.clear_caches()
    with engine.counted() as work, RequiredTokens(engine.model) as needed:
        automaton.run(engine.model)
    assert work.tokens / len(needed) <= 1.05
    if engine.model.client.hooks.run_automata.get_hookimpls():
        engine.clear_caches()
        with engine.counted() as own:
            automaton.run(engine.model)
        assert own.tokens == work.tokens


@pytest.mark.parametrize(
    "name",
    [
        *("routing", "triage"),
        pytest.param("quiz", marks=pytest.mark.soak),
        pytest.param("second_opinion", marks=pytest.mark.soak),
        pytest.param("speed_of_light", marks=pytest.mark.soak),
        pytest.param("shopping_list", marks=pytest.mark.soak),
    ],
)
def test_quantized_weights_keep_to_their_declared_tolerance(
    llamacpp_quantized: Engine, name: str
) -> None:
    quantized = llamacpp_quantized
    tree = program(name).run(quantized.model, shortened(name))
    seen = 0
    scored = [path for path in paths(tree) if path.end.logprobs]
    for path in random.Random(7).sample(scored, min(len(scored), count(5, 1000))):
        before, decided = said(quantized.model, path)
        if before is None:
            continue
        rows = quantized.rows((*before, *decided), len(decided) + 1)
        plain = [float(rows[place][token]) for place, token in enumerate(decided)]
        assert path.end.logprobs == pytest.approx(plain, abs=quantized.model.info.tolerance)
        seen += 1
    assert seen >= 3


def paths(tree: ThoughtTree) -> Iterator[ThoughtPath]:
    """A path to each node."""
    return (ThoughtPath(tree, index) for index in range(len(tree.nodes)))


def said(model: Model, path: ThoughtPath) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """What a path's last node continues, and its tokens; None where a stop was split in a token."""
    before: list[int] = []
    for node in path.context_nodes[:-1]:
        kept = len(node.tokens)
        raw = node.text.encode()
        # A stop or an end was decided, but is not handed on.
        while (
            kept
            and node.finish_reason in ("stop", "eos")
            and model.detokenize_bytes(node.tokens[:kept]) != raw
        ):
            kept -= 1
        if node.finish_reason == "eos":
            kept = min(kept, len(node.tokens) - 1)
        before += node.tokens[:kept]
        if node.retokenized:
            return None, path.end.tokens
    return tuple(before), path.end.tokens


@pytest.mark.parametrize(
    "given",
    [
        "1 + 1 =",
        "She ran at",
        pytest.param("The speed of light is", marks=pytest.mark.soak),
        pytest.param("Nothing moves faster than", marks=pytest.mark.soak),
    ],
)
def test_the_speed_of_light_always_reads_like_a_speed(engine: Engine, given: str) -> None:
    pattern = r"[1-9][0-9]{0,2}(,[0-9]{3})* (km/s|m/s|km/h)"
    automaton = program("speed_of_light")
    first = automaton.actions[0]
    assert isinstance(first, Text)
    changed = Automaton(
        [Text(uid=first.uid, text=given, successors=first.successors), *automaton.actions[1:]],
        automaton.vocabs,
    )
    path = changed.run(engine.model).best()
    speed = path.text.removeprefix(given + " ")
    assert re.fullmatch(pattern, speed), speed


def test_rows_together_and_alone_agree(engine: Engine) -> None:

    automaton = program("triage")
    rows = [values("triage", number) for number in range(count(2, 4))]
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


@pytest.mark.parametrize(
    ("number", "length"),
    [(0, 12), *(pytest.param(number, 64, marks=pytest.mark.soak) for number in range(4))],
)
def test_beam_search_is_transformers_own(tf_float32: Engine, number: int, length: int) -> None:
    """Score for score; benchmarks/beam_search.py has more prompts, and the times."""
    import torch

    model = tf_float32.model
    question = json.loads(QUESTIONS[number])["question"]
    tree = beams(f"Question: {question}\nAnswer:", beams=4, length=length).run(model)
    ids = model.encode(f"Question: {question}\nAnswer:")
    hugging_face = model._backend.engine.model  # type: ignore[attr-defined]
    expected = hugging_face.generate(
        torch.tensor([ids]),
        num_beams=4,
        early_stopping="never",
        max_new_tokens=length,
        length_penalty=1.0,
        do_sample=False,
        num_return_sequences=4,
        output_scores=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    scores = [node.path_logprob / node.length for node in tree.nodes if node.uid == "beams"]
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
    tree = automaton.run(engine.model)
    check_tree(tree, twin(engine, automaton, tree))
