"""The pipelines: the results of `choose` and programs, with inputs and outputs of Transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import autocog_tf.pipelines
from autocog_core import (
    EOS,
    Automaton,
    Budget,
    Choose,
    Complete,
    Input,
    InputError,
    Template,
    Text,
    ThoughtTree,
)
from autocog_tf import TfLM
from autocog_tf.engine import TfEngine
from tests.support.tf import tiny_models as tiny

TOLERANCE = 1e-4
CHOICES = [" Paris", " Rome", " the inclined plane", " 1", " 10"]
ROWS = [
    "The capital of France is",
    "x",
    "Answer: the inclined plane\nQuestion: which machine is it? Answer:",
    "The capital of Italy is Rome. The capital of France is",
    "Answer:",
]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
CHAT = [{"role": "user", "content": "the capital <|im_end|>"}]
PROGRAM = Automaton(
    [
        Text(uid="ask", text=Template("Q: {{ question }}\nA:"), successors="city"),
        Choose(uid="city", name="city", choices=(" Paris", " Rome"), successors="why"),
        Complete(uid="why", name="why", length=5, beams=2, stop=("\n",)),
    ],
    inputs={"question": Input()},
)
QUESTIONS = [{"question": text} for text in ROWS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and its tokenizer, as files."""
    path = tmp_path_factory.mktemp("model")
    tiny.tiny_model("llama").save_pretrained(path)
    tokenizer = tiny.byte_level_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Any:
    return pipeline("token-choice", model=str(folder), choices=CHOICES, device="cpu")


@pytest.fixture(scope="module")
def lm(pipe: Any) -> TfLM:
    """The same weights without a pipeline."""
    return TfLM(engine=TfEngine(pipe.model, pipe.tokenizer))


@pytest.fixture(scope="module")
def run(pipe: Any) -> Any:
    return pipeline(
        "thought-automaton", model=pipe.model, tokenizer=pipe.tokenizer, program=PROGRAM
    )


def by_index(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(answer, key=lambda choice: choice["index"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"norm": "mean"},
        {"norm": "per_byte", "suffix": "\n"},
        {"suffix": EOS},
        {"norm": "pmi", "unconditional_prompt": "Answer:"},
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_results_equal_choose(
    pipe: Any, lm: TfLM, arguments: dict[str, Any], batch_size: int
) -> None:
    results = pipe(ROWS, top_k=None, batch_size=batch_size, **arguments)
    for prompt, answer in zip(ROWS, results, strict=True):
        expected = lm.choose(prompt, CHOICES, **arguments)
        assert answer[0]["index"] == expected.index
        assert [c["score"] for c in answer] == sorted((c["score"] for c in answer), reverse=True)
        for choice, score in zip(by_index(answer), expected.scores, strict=True):
            assert choice["label"] == score.choice
            assert choice["score"] == pytest.approx(score.prob, abs=TOLERANCE)
            for name in ("logprob", "exclusive_logprob", "mean_logprob", "logprob_per_byte"):
                assert choice[name] == pytest.approx(getattr(score, name), abs=TOLERANCE)
            assert choice.get("pmi") == pytest.approx(score.pmi, abs=TOLERANCE)
    json.dumps(results)


def test_the_best_choices_are_those_of_choose(pipe: Any, lm: TfLM, run: Any) -> None:
    results = pipe(ROWS, top=2, within=0.5, at_least=0.3, norm="mean", batch_size=3)
    for prompt, answer in zip(ROWS, results, strict=True):
        expected = lm.choose(prompt, CHOICES, norm="mean")
        order = sorted(range(len(CHOICES)), key=lambda i: -expected.scores[i].mean_logprob)
        assert [choice["index"] for choice in answer] == order[:2]
        for choice in answer:
            lowest, highest = choice["score_bounds"]
            prob = expected.scores[choice["index"]].prob
            assert lowest - TOLERANCE <= prob <= highest + TOLERANCE
            assert highest - lowest <= 0.5
        assert answer[0]["is_at_least"] == (expected.best.prob >= 0.3)
    json.dumps(results)
    with pytest.raises(InputError, match="top=1"):
        pipe(ROWS[0], within=0.1)
    with pytest.raises(InputError, match="cannot be combined with top"):
        pipe(ROWS[0], top=1, top_k=2)
    best, whole = run(QUESTIONS[0], probs="winner"), run(QUESTIONS[0])
    assert best["record"] == whole["record"]


def test_one_row_returns_one_result_and_a_list_of_rows_a_list(pipe: Any) -> None:
    """A row returns a dict, or with `top_k` a list of dicts; a list of rows returns a list."""
    result = pipe(ROWS[0])
    assert set(result) == {
        *("label", "score", "index", "logprob"),
        *("exclusive_logprob", "mean_logprob", "logprob_per_byte"),
    }
    assert pipe(ROWS[0], top_k=1) == [pytest.approx(result)]
    assert [len(pipe(ROWS[0], top_k=k)) for k in (2, 99, None)] == [2, 5, 5]
    assert pipe([ROWS[0]]) == [pytest.approx(result)]
    assert pipe((ROWS[0],), top_k=1) == [[pytest.approx(result)]]
    assert pipe([]) == []
    # Arguments of the call override those of `pipeline`.
    fixed = pipeline(
        "token-choice", model=pipe.model, tokenizer=pipe.tokenizer, choices=CHOICES, top_k=2
    )
    assert len(fixed(ROWS[0])) == 2
    assert len(fixed(ROWS[0], top_k=3, choices=CHOICES[:3])) == 3
    assert len(fixed(ROWS[0])) == 2


def test_choices_of_a_row_replace_those_of_the_pipeline(pipe: Any, lm: TfLM) -> None:
    rows = [
        {"prompt": "2 + 2 =", "choices": [" 3", " 4"], "answer": 1},
        {"messages": CHAT, "choices": ["Paris", "Rome", "x"]},
        {"prompt": "x"},
    ]
    results = pipe(rows, top_k=None, batch_size=3)
    expected = [
        lm.choose("2 + 2 =", [" 3", " 4"]),
        lm.choose(messages=CHAT, choices=["Paris", "Rome", "x"]),
        lm.choose("x", CHOICES),
    ]
    for answer, scores in zip(results, expected, strict=True):
        logprobs = [choice["logprob"] for choice in by_index(answer)]
        assert logprobs == pytest.approx([s.logprob for s in scores.scores], abs=TOLERANCE)


def test_chats_are_one_row_or_a_list_of_rows(pipe: Any, lm: TfLM) -> None:
    """A special token's surface inside a message stays text."""
    expected = lm.choose(messages=CHAT, choices=CHOICES).best
    assert pipe(CHAT)["logprob"] == pytest.approx(expected.logprob, abs=TOLERANCE)
    assert [answer["label"] for answer in pipe([CHAT, CHAT])] == [expected.choice] * 2


def test_a_generator_is_streamed(pipe: Any) -> None:
    read: list[Any] = []

    def rows() -> Iterator[str]:
        for index in range(1000):
            read.append(index)
            yield f"{index} is"

    results = pipe(rows(), batch_size=4)
    assert read == []
    answers = [next(results) for _ in range(4)]
    assert len(read) == 4
    next(results)
    assert len(read) == 8
    assert [answer["label"] for answer in answers] == [
        pipe(f"{index} is")["label"] for index in range(4)
    ]
    with pytest.raises(TypeError):
        len(results)


def test_columns_and_data_sets_are_streamed_and_have_a_length(pipe: Any) -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"prompt": ROWS, "answer": [0] * len(ROWS)})
    expected = [answer["label"] for answer in pipe(ROWS)]
    for rows in (data, data["prompt"], KeyDataset(data, "prompt")):
        results = pipe(rows, batch_size=2)
        assert not isinstance(results, list)
        bar = tqdm(results, disable=False, file=StringIO())
        assert bar.total == len(ROWS)
        assert [answer["label"] for answer in bar] == expected
        assert bar.n == len(ROWS)
    streamed = pipe(data.to_iterable_dataset(), batch_size=2)
    assert [answer["label"] for answer in streamed] == expected


def test_progress_bars_work_with_key_data_sets(pipe: Any) -> None:
    data = KeyDataset([{"text": row} for row in ROWS], "text")
    bar = tqdm(pipe(data, batch_size=2), disable=False, file=StringIO())
    assert bar.total == len(ROWS)
    assert [answer["label"] for answer in bar] == [answer["label"] for answer in pipe(ROWS)]
    assert bar.n == len(ROWS)


def test_workers_read_and_tokenize(pipe: Any) -> None:
    expected = [answer["label"] for answer in pipe(ROWS)]
    assert [answer["label"] for answer in pipe(ROWS, num_workers=2, batch_size=3)] == expected
    with pytest.raises(InputError, match=r"^row 1, choices: got one string; give a list"):
        pipe([ROWS[0], {"prompt": "x", "choices": "abc"}], num_workers=1)


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (["a", ""], {}, "row 1, prompt: is empty"),
        (["a"], {"choices": []}, "row 0, choices: "),
        ("a", {"choices": ["b", "b"]}, "choice 1: 'b' was given before"),
        ("a", {"choices": None}, "choices: there are none; give choices"),
        ("a", {"norm": "loudest"}, "norm: unknown norm"),
        ("a", {"boundary": "soft"}, "boundary: got 'soft'; give"),
        ("a", {"top_k": 0}, "top_k: 0 is not a number of choices; give 1 or more"),
        ("a", {"choice": ["b"]}, 'choice: unknown argument; did you mean "choices"'),
        (["a"], {"batch_size": 0.5}, "batch_size: 0.5 is not a number of rows"),
        ([{"text": "a"}], {}, "row 0, prompt: has neither prompt nor messages but 'text'"),
        ({"prompt": "a", "messages": CHAT}, {}, "prompt: give either a prompt or messages"),
        ([["a", "b"]], {}, "row 0, prompt: got list"),
        (7, {}, "inputs: got int; give a row"),
        ("x " * 600, {}, "context"),
    ],
)
def test_errors_name_row_argument_and_fix_and_the_next_call_works(
    pipe: Any, rows: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        pipe(rows, **arguments)
    assert message in str(raised.value)
    assert pipe(ROWS[0])["label"] in CHOICES


def test_a_folder_that_a_pipeline_saved_needs_no_trust(pipe: Any, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    again = pipeline(
        "token-choice", model=str(tmp_path), choices=CHOICES, dtype="float32", batch_size=2
    )
    assert [a["label"] for a in again(ROWS)] == [a["label"] for a in pipe(ROWS)]


def test_models_spread_by_a_device_map_work(pipe: Any, folder: Path, tmp_path: Path) -> None:
    """Two layers and the head are offloaded to disk."""
    parts = ("model.embed_tokens", "model.norm", "model.rotary_emb", "model.layers.0")
    layers = {**dict.fromkeys(parts, "cpu"), "model.layers.1": "disk", "model.layers.2": "disk"}
    for device_map in ({"": "cpu"}, {**layers, "lm_head": "disk"}):
        model = AutoModelForCausalLM.from_pretrained(
            folder, device_map=device_map, offload_folder=str(tmp_path)
        )
        spread = pipeline("token-choice", model=model, tokenizer=pipe.tokenizer, choices=CHOICES)
        for batch_size in (1, 3):
            answers = spread(ROWS, batch_size=batch_size)
            for answer, expected in zip(answers, pipe(ROWS), strict=True):
                assert answer == pytest.approx(expected, abs=TOLERANCE)


def test_an_engine_works_if_the_first_weights_are_offloaded_to_disk(
    pipe: Any, folder: Path, tmp_path: Path, lm: TfLM
) -> None:
    """Transformers' pipelines refuse such a model, whose device is "meta"."""
    device_map = {"model.embed_tokens": "disk", "lm_head": "disk", "model.layers": "disk"}
    device_map |= {"model.norm": "cpu", "model.rotary_emb": "cpu"}
    model = AutoModelForCausalLM.from_pretrained(
        folder, device_map=device_map, offload_folder=str(tmp_path)
    )
    assert model.device.type == "meta"
    result = TfLM(engine=TfEngine(model, pipe.tokenizer)).choose(ROWS[0], CHOICES)
    assert result.best.logprob == pytest.approx(
        lm.choose(ROWS[0], CHOICES).best.logprob, abs=TOLERANCE
    )


def by_torchao(folder: Path) -> Any:
    quantization = pytest.importorskip("torchao.quantization")
    model = AutoModelForCausalLM.from_pretrained(folder)
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig())
    return model


def by_bitsandbytes(folder: Path) -> Any:
    pytest.importorskip("bitsandbytes")
    config = BitsAndBytesConfig(load_in_4bit=True)
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, device_map="cpu", dtype=torch.float32
    )


@pytest.mark.parametrize("quantized", [by_torchao, by_bitsandbytes])
def test_a_quantized_model_works_and_batches(
    quantized: Callable[[Path], Any], folder: Path, pipe: Any
) -> None:
    model = quantized(folder)
    small = pipeline("token-choice", model=model, tokenizer=pipe.tokenizer, choices=CHOICES)
    singles = [small(row) for row in ROWS]
    assert singles != [pipe(row) for row in ROWS]
    for single, batched in zip(singles, small(ROWS, batch_size=5), strict=True):
        assert batched == pytest.approx(single, abs=TOLERANCE)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_results_of_a_program_equal_its_runs(run: Any, lm: TfLM, batch_size: int) -> None:
    results = run(QUESTIONS, batch_size=batch_size)
    for values, result in zip(QUESTIONS, results, strict=True):
        tree = PROGRAM.run(lm.as_model(), values)
        best = tree.best()
        assert result["record"] == best.fields
        assert result["score"] == pytest.approx(best.nodes[1].prob, abs=TOLERANCE)
        assert result["probs"] == {"city": pytest.approx(best.nodes[1].prob, abs=TOLERANCE)}
        assert result["logprob"] == pytest.approx(best.logprob, abs=10 * TOLERANCE)
        again = ThoughtTree.from_dict(result["tree"])
        assert [node.text for node in again.nodes] == [node.text for node in tree.nodes]
    json.dumps(results)


def test_programs_can_be_files_and_rows_are_streamed(run: Any, pipe: Any, tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    path.write_text(json.dumps(PROGRAM.to_dict()))
    other = pipeline(
        "thought-automaton", model=pipe.model, tokenizer=pipe.tokenizer, program=str(path)
    )
    assert other(QUESTIONS[0])["record"] == run(QUESTIONS[0])["record"]
    read: list[Any] = []

    def rows() -> Iterator[dict[str, str]]:
        for values in QUESTIONS:
            read.append(values)
            yield values

    results = run(rows(), batch_size=2)
    assert next(results)["record"] == run(QUESTIONS[0])["record"]
    assert len(read) <= 3
    assert len(run(KeyDataset([{"row": values} for values in QUESTIONS], "row"))) == len(QUESTIONS)


def test_errors_of_programs_and_rows_are_clear(run: Any, pipe: Any) -> None:
    with pytest.raises(InputError, match=r'^row 1, inputs: "question" is missing'):
        run([*QUESTIONS[:1], {"quest": "x"}])
    with pytest.raises(InputError, match=r"^row 0, inputs: got str; give"):
        run(["x"])
    with pytest.raises(InputError, match=r"^program: there is none; give program="):
        pipeline("thought-automaton", model=pipe.model, tokenizer=pipe.tokenizer)(QUESTIONS[0])
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        run(QUESTIONS[0], program="nowhere.yaml")
    assert run({"question": "new"}, budget=Budget(tokens=1))["stopped_by"] == "tokens"
    assert run(QUESTIONS[0])["stopped_by"] is None


COMPLETIONS: tuple[dict[str, Any], ...] = (
    {"max_tokens": 3},
    {"max_tokens": 4, "temperature": 1.0, "seed": 3, "n": 2},
    {"max_tokens": 9, "regex": " [a-z]{1,3}"},
)


@pytest.mark.parametrize("arguments", COMPLETIONS, ids=str)
def test_completions_equal_complete(pipe: Any, lm: TfLM, arguments: dict[str, Any]) -> None:
    write = pipeline("text-completion", model=pipe.model, tokenizer=pipe.tokenizer, max_tokens=1)
    rows = [ROWS[0], {"prompt": "x", "answer": 1}, CHAT]
    expected = [
        lm.complete(ROWS[0], **arguments),
        lm.complete("x", **arguments),
        lm.complete(messages=CHAT, **arguments),
    ]
    for result, completion in zip(write(rows, **arguments), expected, strict=True):
        assert result.keys() == completion.to_dict().keys()
        assert result["text"] == completion.text
        if regex := arguments.get("regex"):
            assert re.fullmatch(regex, result["text"])
        assert result["logprob"] == pytest.approx(completion.logprob, abs=TOLERANCE)
        assert result["constrained_logprob"] == pytest.approx(
            completion.constrained_logprob, abs=TOLERANCE
        )
    assert len(write(ROWS[0])["tokens"]) == 1
    assert len(write(ROWS[0], max_new_tokens=2)["tokens"]) == 2


def test_errors_of_completions_are_clear(pipe: Any) -> None:
    write = pipeline("text-completion", model=pipe.model, tokenizer=pipe.tokenizer)
    with pytest.raises(InputError, match='regexp: unknown argument; did you mean "regex"'):
        write("x", regexp="a")
    with pytest.raises(InputError, match="row 1, prompt: has neither prompt nor messages"):
        write(["x", {"text": "y"}])
    with pytest.raises(InputError, match="row 0, regex: give one of regex, grammar"):
        write("x", regex="a", grammar="start: b")


def test_the_examples_of_the_page_work(folder: Path) -> None:
    """All of them, one after the other, on a tiny model."""
    page = Path(__file__).parents[3] / "docs" / "pipelines.md"
    if not page.exists():
        pytest.skip("the documentation is not beside these tests")
    text = page.read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    code = "\n".join(snippets).replace("HuggingFaceTB/SmolLM2-135M-Instruct", str(folder))
    assert len(snippets) >= 8
    names: dict[str, Any] = {}
    exec(compile(code, "pipelines.md", "exec"), names)
    assert set(names["result"]) == keys(text, "thought-automaton")
    assert set(names["choice"]) | {"pmi"} == keys(text, "token-choice")
    assert set(names["completion"]) == keys(text, "text-completion")


def keys(text: str, task: str) -> set[str]:
    """Return the keys in the page's table of a task."""
    section = re.split(r"\n## ", text.split(f"\n## `{task}`", 1)[1])[0]
    table = section.split("| key | meaning |\n", 1)[1].split("\n\n")[0]
    first = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    return {name for cell in first for name in re.findall(r"`(\w+)`", cell)}


def test_the_tasks_are_registered() -> None:
    assert set(autocog_tf.pipelines.__all__) == {
        *("ThoughtAutomatonPipeline", "TokenChoicePipeline", "TextCompletionPipeline")
    }
    with pytest.raises(InputError, match="tokenizer: there is none"):
        autocog_tf.pipelines.TokenChoicePipeline(model=tiny.tiny_model("llama"))


@pytest.mark.slow
@pytest.mark.soak
def test_batches_on_smollm2_equal_choose(smol: TfLM) -> None:
    """In float32, within 1e-4 nats for each choice."""
    engine = smol.engine
    intents = ["card arrival", "card not working", "lost or stolen card", "exchange rate", "top up"]
    choices = [f" {intent}" for intent in intents]
    messages = ["Where is it?", "I lost my card somewhere on the way home.", "It declines."] * 4
    rows = [f"Classify the message.\nMessage: {text}\nIntent:" for text in messages]
    pipe = pipeline(
        "token-choice", model=engine.model, tokenizer=engine.tokenizer.tokenizer, choices=choices
    )
    for batch_size in (1, 8, 12):
        for prompt, answer in zip(rows, pipe(rows, top_k=None, batch_size=batch_size), strict=True):
            expected = smol.choose(prompt, choices)
            assert answer[0]["label"] == expected.choice
            for choice in answer:
                logprob = expected.scores[choice["index"]].logprob
                assert choice["logprob"] == pytest.approx(logprob, abs=TOLERANCE)
