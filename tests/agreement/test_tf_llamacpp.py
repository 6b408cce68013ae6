"""Two engines, one file of weights: Transformers in float32 and llama.cpp agree on SmolLM2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autocog_core import Model, TreeQuery, load
from tests.support.engines import SMOL, Engine
from tests.support.soak import count

pytest.importorskip("autocog_tf")
pytest.importorskip("autocog_llamacpp")
pytestmark = pytest.mark.slow

QUESTIONS = Path(__file__).parents[2] / "examples" / "quiz" / "questions.jsonl"
POSITIONS = count(100, 200)
TOP = 20


@pytest.fixture
def transformers(tf_float32: Engine) -> Model:
    return tf_float32.model


@pytest.fixture
def llama_cpp(llamacpp_quantized: Engine) -> Model:
    return llamacpp_quantized.model


def questions() -> list[dict[str, list[str]]]:
    return [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def text() -> str:
    return "\n".join(
        f"Question: {row['question']} Answer: {row['choices'][row['answer']]}."  # type: ignore[call-overload]
        for row in questions()
    )


def chain(tokens: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(tokens[1:], dtype=np.int32), np.arange(-1, len(tokens) - 2, dtype=np.int32)


def tops(model: Model, tokens: list[int]) -> np.ndarray:
    """int32 (positions, TOP): the likeliest tokens after each position of a text."""
    nodes, parents = chain(tokens)
    at = np.arange(-1, len(nodes), dtype=np.int32)
    query = TreeQuery(prefix=tokens[:1], tokens=nodes, parents=parents, top_at=at, top_k=TOP)
    return model.client.greedy_tree([query])[0].top_tokens


def values(model: Model, tokens: list[int], asked: list[list[int]]) -> list[np.ndarray]:
    """The log-probabilities of the tokens asked for after each position."""
    nodes, parents = chain(tokens)
    more = [token for ids in asked for token in ids]
    places = [place - 1 for place, ids in enumerate(asked) for _ in ids]
    query = TreeQuery(
        prefix=tokens[:1],
        tokens=np.concatenate([nodes, np.array(more, dtype=np.int32)]),
        parents=np.concatenate([parents, np.array(places, dtype=np.int32)]),
    )
    found = model.client.greedy_tree([query])[0].values[len(nodes) :]
    return np.split(found, np.cumsum([len(ids) for ids in asked])[:-1])


def test_next_tokens_agree(transformers: Model, llama_cpp: Model) -> None:
    tokens = transformers.encode(text())
    assert llama_cpp.encode(text()) == tokens
    tokens = tokens[:POSITIONS]
    asked = [
        sorted({*first, *second})
        for first, second in zip(
            tops(transformers, tokens).tolist(), tops(llama_cpp, tokens).tolist(), strict=True
        )
    ]
    ours = values(transformers, tokens, asked)
    theirs = values(llama_cpp, tokens, asked)
    apart = np.abs(np.concatenate(ours) - np.concatenate(theirs))
    median, most = float(np.median(apart)), float(np.quantile(apart, 0.99))
    clear = [
        (one.argmax(), other.argmax())
        for one, other in zip(ours, theirs, strict=True)
        if np.diff(np.sort(one)[-2:])[0] > 0.5
    ]
    same = sum(int(one == other) for one, other in clear)
    print(
        f"{len(apart)} log-probabilities at {len(tokens)} positions: {median:.3f} nats apart at "
        f"the median, {most:.3f} at the 99th percentile, {apart.max():.2f} at most; the same best "
        f"token at {same} of {len(clear)} positions with a clear one"
    )
    assert median < 0.12
    assert most < 0.6
    assert same >= 0.99 * len(clear)


@pytest.mark.soak
def test_a_quantized_file_as_float32_equals_transformers(
    transformers: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path))
    options = {"model_path": SMOL, "weights": "F32", "exact": True, "n_ctx": 1024}
    tokens = transformers.encode(text())[:POSITIONS]
    asked = tops(transformers, tokens).tolist()
    with load(backend="llamacpp", options=options) as model:
        ours = values(transformers, tokens, asked)
        theirs = values(model, tokens, asked)
        assert model.info.tolerance == 1e-4
    assert np.abs(np.concatenate(ours) - np.concatenate(theirs)).max() < 1e-4


def test_choices_agree(transformers: Model, llama_cpp: Model) -> None:
    same = clear = 0
    asked = questions()[: count(12, 52)]
    for row in asked:
        prompt = f"Question: {row['question']}\nAnswer:"
        choices = [f" {choice}" for choice in row["choices"]]
        ours = transformers.choose(prompt, choices)
        ranked = sorted(score.exclusive_logprob for score in ours.scores)
        if ranked[-1] - ranked[-2] > 0.5:
            clear += 1
            same += ours.index == llama_cpp.choose(prompt, choices).index
    print(f"the same answer to {same} of {clear} questions with a clear one")
    assert clear >= len(asked) / 2
    assert same >= 0.95 * clear


def test_chat_prompts_agree(transformers: Model, llama_cpp: Model) -> None:
    messages = [
        {"role": "user", "content": "What is <|im_end|>?"},
        {"role": "assistant", "content": "A token."},
        {"role": "user", "content": "Thank you."},
    ]
    first = transformers.encode(transformers.chat_prompt(messages))
    assert llama_cpp.encode(llama_cpp.chat_prompt(messages)) == first
