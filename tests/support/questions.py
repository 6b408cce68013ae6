"""Random questions of the System One protocol, and answers to compare."""

from __future__ import annotations

from random import Random
from typing import Any

from autocog_core import Model
from autocog_core.types.prompt import Prompt, TextPiece

WORDS = (
    *("refund", "team", "angry", "Billing", "Bill", "billing", "late", "order", "ship"),
    *("질문", "🙂", "\u00e9", "über", "no_such", "x.y", "A/B"),
)
#: Names that programs get wrong: one begins another, differs by case or blanks, is empty or odd.
HARD_NAMES = (
    *("", " ", "Bill", "Billing", "bill", " Bill", "Bill "),
    *("\n", '"', "\\", "\u00e9", "e\u0301"),
)
#: Names of options.
NAMES = tuple(dict.fromkeys((*HARD_NAMES, *WORDS)))


def random_text(random: Random, words: int = 8) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(1, words)))


def random_data(random: Random) -> Any:
    """Return a text, an object or a list."""
    kind = random.randrange(4)
    if kind == 0:
        return {random_text(random, 2): random_text(random), "n": random.randint(0, 9)}
    return [random_text(random), None, 1.5] if kind == 1 else random_text(random)


def random_question(random: Random) -> dict[str, Any]:
    kind = random.choice(("noul", "choice", "score"))
    question: dict[str, Any] = {"type": kind}
    if random.random() < 0.8:
        question["instructions"] = random_data(random)
    if kind == "noul" and random.random() < 0.5:
        question["criteria"] = {"true": random_data(random), "false": None}
    if kind == "choice":
        names = random.sample(NAMES, random.randint(2, 6))
        question["criteria"] = {name: random.choice([None, random_data(random)]) for name in names}
    if kind == "score":
        question["criteria"] = [random_data(random) for _ in range(random.randint(2, 5))]
    return question


def random_body(random: Random, questions: int = 3) -> dict[str, Any]:
    """Return a request with some questions, named q0, q1 and so on."""
    return {
        "model": "jev-latest",
        "state": random_data(random),
        "questions": {f"q{index}": random_question(random) for index in range(questions)},
    }


def change_company(body: dict[str, Any], random: Random) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the request with its questions renamed, in another order, and with others between.

    :returns: the request, and the new name of each question.
    """
    names = {name: f"{random_text(random)} {name} 🎯" for name in body["questions"]}
    questions = [(names[name], question) for name, question in body["questions"].items()]
    questions += [(f"other {n}", random_question(random)) for n in range(random.randint(1, 3))]
    random.shuffle(questions)
    return {**body, "questions": dict(questions)}, names


def largest_difference(left: Any, right: Any) -> float:
    """Return the largest difference of two numbers in answers of one shape.

    :raises AssertionError: if anything but numbers differs.
    """
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right)
    if isinstance(left, dict) and isinstance(right, dict):
        assert list(left) == list(right)
        return max((largest_difference(left[name], right[name]) for name in left), default=0.0)
    assert left == right
    return 0.0


def chat_prompt(model: Model, question: str) -> Prompt:
    """Return the prompt of a question in a chat, in which the model begins its answer.

    :param question: what the default template writes before the turn of the model.
    """
    prompt = model.chat_prompt([{"role": "user", "content": question}])
    return Prompt((*prompt.pieces, TextPiece('Answer: "')))
