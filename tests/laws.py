"""Laws that every model keeps, whatever its backend: each takes a Model and raises AssertionError.

They use the public interface only, so that a plugin's tests can hold its models to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autocog_core import ChoiceScores, Model

PROMPTS = ("The capital of France is", "1 + 1 =", "a b", "Grüße 😀 und\n\n")
CHOICES = (" Paris", " Paris, France", " Lyon", "1", "10", "100", "é")


def distributions(model: Model, prompts: Sequence[str] = PROMPTS) -> None:
    """Every row is float32 (V,), at most 0, and its probabilities sum to 1."""
    for prompt in prompts:
        row = model.greedy(prompt)
        assert row.dtype == np.float32, f"rows are {row.dtype}, not float32"
        assert row.shape == (model.info.vocabulary_size,), f"a row has the shape {row.shape}"
        assert row.max() <= 0, f"a log-probability of {row.max()} after {prompt!r}"
        total = float(np.exp(row.astype(np.float64)).sum())
        assert abs(total - 1) < 1e-3, f"the probabilities after {prompt!r} sum to {total}"


def last_token_matters(model: Model, prompts: Sequence[str] = PROMPTS) -> None:
    """Two prefixes that differ only in their last token give different rows."""
    for prompt in prompts:
        tokens = model.encode(prompt)
        other = [*tokens[:-1], (tokens[-1] + 1) % model.info.vocabulary_size]
        difference = _difference(model.greedy(tokens), model.greedy(other))
        assert difference > model.info.tolerance, f"the last token of {prompt!r} changes nothing"


def bos_once(model: Model, prompts: Sequence[str] = PROMPTS) -> None:
    """A sequence begins with BOS iff the model adds one; no text and no choice brings another."""
    bos = model.info.bos
    for prompt in prompts:
        tokens = model.encode(prompt)
        expected = int(model.info.adds_bos)
        assert tokens.count(bos) == expected, f"{tokens.count(bos)} BOS in {prompt!r}"  # type: ignore[arg-type]
        assert not expected or tokens[0] == bos, f"{prompt!r} does not begin with BOS"
        assert bos is None or bos not in model.tokenize(prompt), "tokenize adds BOS"
        for score in model.choose(prompt, CHOICES).scores:
            assert bos not in score.tokens, f"the choice {score.choice!r} brings a BOS"


def special_text_stays_text(model: Model, prompt: str = "I say ") -> None:
    """The surface of a special token in untrusted text is text, in prompts and in choices."""
    for special in model.info.special_tokens:
        text = f"{prompt}{special.text} and more"
        head = 1 if model.info.adds_bos else 0
        tokens = model.encode(text)[head:]
        assert special.id not in tokens, f"{special.text!r} in a prompt became a special token"
        spelled = model.detokenize(tokens)
        assert special.text in spelled, f"{special.text!r} in a prompt was lost: {spelled!r}"
        choice = model.choose(prompt.rstrip(), [f" {special.text}", " no"]).scores[0]
        assert special.id not in choice.tokens, f"{special.text!r} in a choice was parsed"


def chain_rule(
    model: Model, prompts: Sequence[str] = PROMPTS, choices: Sequence[str] = CHOICES
) -> None:
    """A choice's score is the sum of its tokens' log-probabilities, each read before its token.

    The tree, and plain calls token by token over the joint tokenization, give the same numbers.
    """
    for prompt in prompts:
        result = model.choose(prompt, choices)
        decided_once = _base_length(model, prompt, choices, result)
        for score in result.scores:
            joint = model.encode(prompt + score.choice)
            tokens = joint[decided_once:]
            assert tuple(tokens) == score.tokens, (
                f"{score.choice!r} after {prompt!r} has the tokens {score.tokens}, not {tokens}"
            )
            assert len(score.token_logprobs) == len(tokens) > 0, (
                f"{score.choice!r} after {prompt!r} has {len(score.token_logprobs)} scores "
                f"for {len(tokens)} tokens"
            )
            slow = [
                float(model.greedy(joint[: decided_once + i])[token])
                for i, token in enumerate(tokens)
            ]
            far = max(map(_apart, slow, score.token_logprobs))
            assert far <= model.info.tolerance, (
                f"{score.choice!r} after {prompt!r} is {far:.3g} nats a token off"
            )
            assert _apart(score.logprob, sum(slow)) <= model.info.tolerance * len(slow), (
                f"the logprob of {score.choice!r} is not the sum over its tokens"
            )


def decided_tokens_spell_the_choice(
    model: Model, prompts: Sequence[str] = PROMPTS, choices: Sequence[str] = CHOICES
) -> None:
    """The decided tokens are the healed text and the choice: no blank is lost, none is added."""
    for prompt in prompts:
        result = model.choose(prompt, choices)
        for score in result.scores:
            spelled = model.detokenize_bytes(score.tokens)
            expected = (result.healed_text + score.choice).encode()
            assert spelled == expected, f"{score.choice!r} was scored as {spelled!r}"


def prefix_choices_kept(model: Model, prompt: str = "The number is") -> None:
    """A choice that begins another is scored, and its own share leaves out the longer ones'."""
    choices = [" 1", " 10", " 100", " Paris", " Paris, France"]
    result = model.choose(prompt, choices)
    found = [score.choice for score in result.scores]
    assert found == choices, f"of {choices} only {found} came back"
    for score in result.scores:
        assert score.exclusive <= score.logprob + 1e-9, f"{score.choice!r} gains by its extensions"
    pairs = [
        (short, long)
        for short in result.scores
        for long in result.scores
        if short is not long and long.tokens[: len(short.tokens)] == short.tokens
    ]
    assert pairs, "this tokenizer gives no choice that begins another: nothing was checked"
    assert result.prefix_ambiguous, "the result does not say that a choice begins another"
    for short, long in pairs:
        kept = short.logprob - long.logprob
        assert kept >= -model.info.tolerance, f"{long.choice!r} beats its own beginning"
    _shares(result)


def caches_change_nothing(model: Model, prompts: Sequence[str] = PROMPTS) -> None:
    """What was asked before never changes a row: a strict prefix after a longer sequence too."""
    for prompt in prompts:
        tokens = model.encode(prompt + " and so on")
        short = tokens[: max(2, len(tokens) // 2)]
        whole = model.greedy(tokens).copy()
        after_longer = model.greedy(short).copy()
        model.greedy(model.encode("something else altogether"))
        alone = model.greedy(short).copy()
        tolerance = model.info.tolerance
        assert _difference(after_longer, alone) <= tolerance, "a longer sequence left its mark"
        assert _difference(alone, whole) > tolerance, "a prefix has the row of what it begins"
        assert _difference(model.greedy(tokens), whole) <= tolerance, "asking again changes a row"
        one_more = model.greedy([*short, tokens[0]]).copy()
        model.greedy("elsewhere")
        again = model.greedy([*short, tokens[0]])
        assert _difference(one_more, again) <= tolerance, "extending a cached prefix changes a row"


def choices_by_index(model: Model, prompt: str = "The answer:") -> None:
    """Scores come in the order of the choices, also where these differ only by a blank."""
    choices = ["a", " a", "  a", "A"]
    result = model.choose(prompt, choices)
    assert [score.choice for score in result.scores] == choices, "choices are out of order"
    for choice, score in zip(choices, result.scores, strict=True):
        alone = model.choose(prompt, [choice]).best
        shared = len(alone.tokens)
        assert score.tokens[-shared:] == alone.tokens, f"{choice!r} has another choice's tokens"
        far = _apart(sum(score.token_logprobs[-shared:]), alone.logprob)
        assert far <= model.info.tolerance * shared, f"{choice!r} has another choice's score"


def long_choices_keep_their_shares(model: Model, prompt: str = "Well", length: int = 600) -> None:
    """Shares are finite and follow the log-probabilities where probabilities underflow to 0."""
    # Every character may be a token of its own.
    length = min(length, (model.info.context_length or length) // 2)
    body = " and so on" * (length // 10)
    _shares(model.choose(prompt, [body + " Paris", body + " Lyon", " no"], norm="mean"))
    result = model.choose(prompt, [body + " Paris", body + " Lyon"])
    _shares(result)
    first, second = result.scores
    expected = 1 / (1 + math.exp(min(700, second.exclusive - first.exclusive)))
    assert abs(first.prob - expected) < 1e-6, f"a share of {first.prob}, not {expected}"


def completions_are_scored(model: Model, prompt: str = "Once upon", length: int = 12) -> None:
    """A greedy completion takes the likeliest token each time, and reports its log-probability."""
    completion = model.complete(prompt, max_tokens=length)
    tokens = model.encode(prompt)
    assert completion.logprobs is not None, "no log-probabilities"
    assert len(completion.logprobs) == len(completion.tokens), "one log-probability a token"
    for token, logprob in zip(completion.tokens, completion.logprobs, strict=True):
        row = model.greedy(tokens)
        assert logprob <= 0, f"a log-probability of {logprob}"
        assert _apart(float(row[token]), logprob) <= model.info.tolerance, "not the model's own"
        assert _apart(float(row.max()), logprob) <= model.info.tolerance, "not the likeliest token"
        tokens.append(token)


def stops_end_the_text(model: Model, prompt: str = "Once upon", length: int = 12) -> None:
    """A stop string ends the text where it begins, wherever tokens do; it is never made up."""
    free = model.complete(prompt, max_tokens=length)
    for start in range(len(free.text) - 1):
        stop = free.text[start : start + 2]
        if "\ufffd" in stop:
            continue
        ended = model.complete(prompt, max_tokens=length, stop=stop)
        cut = free.text.find(stop)
        assert ended.text == free.text[:cut], f"stop {stop!r} left {ended.text!r}"
        assert (ended.finish, ended.stop) == ("stop", stop), f"finish {ended.finish!r}"
        assert ended.tokens == free.tokens[: len(ended.tokens)], "tokens that were never decided"
        said = model.detokenize(ended.tokens)
        assert said.startswith(ended.text + stop), f"the tokens {said!r} hold no {stop!r}"
    unseen = model.complete(prompt, max_tokens=length, stop="\u2603 never \u2603")
    assert unseen.text == free.text, "a stop that never came changed the text"


ALL = (
    distributions,
    last_token_matters,
    bos_once,
    special_text_stays_text,
    chain_rule,
    decided_tokens_spell_the_choice,
    prefix_choices_kept,
    caches_change_nothing,
    choices_by_index,
    long_choices_keep_their_shares,
    completions_are_scored,
    stops_end_the_text,
)


def _base_length(model: Model, prompt: str, choices: Sequence[str], result: ChoiceScores) -> int:
    """How many tokens all the joint tokenizations share with the prompt, leaving each one more."""
    fixed = model.encode(prompt)
    joint = [model.encode(prompt + choice) for choice in choices]
    length = 0
    while (
        length < len(fixed)
        and all(tokens[length] == fixed[length] for tokens in joint)
        and all(len(tokens) > length + 1 for tokens in joint)
    ):
        length += 1
    healed = length < len(fixed)
    assert (result.boundary == "healed") is healed, f"the boundary is called {result.boundary!r}"
    return length


def _shares(result: ChoiceScores) -> None:
    probs = [score.prob for score in result.scores]
    assert all(math.isfinite(prob) for prob in probs), f"shares of {probs}"
    assert abs(sum(probs) - 1) < 1e-9, f"shares that sum to {sum(probs)}"
    assert all(score.logprob <= 0 for score in result.scores), "a log-probability above 0"


def _apart(first: float, second: float) -> float:
    """How far two log-probabilities are apart; -inf is next to -inf."""
    return 0.0 if first == second else abs(first - second)


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(first - second), posinf=np.inf).max())
