"""Questions, decisions, and what a protocol makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from autocog_openai.connection.answer_fields import FieldError

#: The most that the sum of probabilities may be off, whatever the number of options.
MAX_SUM_ERROR = 0.05
#: The most that one probability may be off: servers may send two decimals.
MAX_ROUNDING = 0.005
#: How much a decision may be less likely than another option: rounding of doubles.
MAX_TIE = 1e-6
#: A text, or messages with `role` and `content`.
State = str | list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class DecisionQuestion:
    """A question about a state.

    :ivar options: the names of the options, which differ.
    :ivar instructions: what to decide; empty if nothing is said.
    """

    options: tuple[str, ...]
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a question.

    :ivar index: the index of the option that the server chose.
    :ivar probs: the probability of each option; they sum to 1.
    :ivar total: the sum of the probabilities that the server sent.
    """

    index: int
    probs: tuple[float, ...]
    total: float


class DecisionProtocol(Protocol):
    """A route for decisions, and the form of its requests and answers."""

    @property
    def path(self) -> str:
        """The route, below the base address."""
        ...

    def body(
        self, model: str, state: State, questions: Sequence[DecisionQuestion]
    ) -> dict[str, Any]:
        """Return the body of a request.

        :param model: the model's name on the server.
        :param state: what all questions are about.
        """
        ...

    def read(
        self, answer: Any, questions: Sequence[DecisionQuestion], where: str
    ) -> list[Decision]:
        """Return the decisions in an answer.

        :param questions: the questions of the request.
        :param where: the model and the server, for errors.
        :raises FieldError: if the answer does not follow the protocol.
        :raises RefusedError: if the model refused a question.
        """
        ...


def make_decision(
    question: DecisionQuestion, choice: str, probability_of: Mapping[str, float]
) -> Decision:
    """Return a decision from what a server sent.

    Servers round: the probabilities are divided by their sum.

    :param choice: the name of the option that the server chose.
    :param probability_of: the probability of each option, by its name.
    :raises FieldError: if these are not the options, no probabilities, or another is likelier.
    """
    options = question.options
    missing = [option for option in options if option not in probability_of]
    if missing:
        raise FieldError(f"there is no probability of {missing[0]!r}")
    others = probability_of.keys() - set(options)
    if others:
        raise FieldError(f"there is a probability of {min(others)!r}, which is no option")
    probabilities = [probability_of[option] for option in options]
    total = sum(probabilities)
    if abs(total - 1) > max(MAX_SUM_ERROR, MAX_ROUNDING * len(options)):
        raise FieldError(f"the probabilities sum to {total:.4g}, not 1")
    if choice not in options:
        raise FieldError(f"the choice {choice!r} is no option")
    index = options.index(choice)
    best = max(range(len(options)), key=probabilities.__getitem__)
    if probabilities[index] < probabilities[best] - MAX_TIE:
        raise FieldError(f"the choice is {choice!r}, but {options[best]!r} is likelier")
    return Decision(index, tuple(probability / total for probability in probabilities), total)
