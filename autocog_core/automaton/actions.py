"""The actions of an automaton. They are data and do not depend on a model.

The evaluation prepares what an action needs of a model (token ids, masks) and does not change the
action. So one automaton can run on several models, and repeatedly on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeVar

from autocog_core.automaton.choices import Choice, ChoiceTexts
from autocog_core.automaton.messages import ChatMessage, as_chat_messages
from autocog_core.automaton.templates.for_each import ForEach
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.automaton.thinking import Thinking, as_thinking
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.types.choice import EndOfSequence, Norm
from autocog_core.types.constraint import Constraint
from autocog_core.types.prompt import Prompt

ThresholdOn = Literal["prob", "mean"]
#: "continue": an action continues the text of its path. "fresh": it begins a new text.
ContextStart = Literal["continue", "fresh"]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Action:
    """The fields that all actions have.

    :ivar uid: its unique name in the graph.
    :ivar successors: uids of the next actions; an action without any ends the path.
    :ivar name: the field of the record for its text, or the value of its choice; None for none.
    :ivar model: which of several models runs it; None for the main model.
    :ivar max_visits: how often a path may reach it; every cycle needs one action with a limit.
    :ivar context: "fresh" if it begins a new text: no model sees the text of the path before it.
    :ivar metadata: data of the author, which autocog ignores.
    """

    kind: ClassVar[str] = ""

    uid: str
    successors: tuple[str, ...] = ()
    name: str | None = None
    model: str | None = None
    max_visits: int | None = None
    context: ContextStart = "continue"
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "successors", _as_tuple(self.successors))

    @property
    def is_fresh(self) -> bool:
        """Whether it begins a new text."""
        return self.context == "fresh"


@dataclass(frozen=True, kw_only=True)
class Text(Action):
    """Fixed text, with at most one successor. It needs no model call unless `evaluate` is set.

    :ivar text: a text, a template, or a prompt of text pieces; only trusted pieces have special
        tokens parsed.
    :ivar evaluate: score the text, so that its tokens count as decided.
    :ivar constant_tail: the end of the text that is the same for all inputs, for the norm "pmi";
        None for what follows the last expression of a template, or for a whole text without one.
    """

    kind = "text"

    text: str | Prompt | Template
    evaluate: bool = False
    constant_tail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Messages(Action):
    """Messages to a chat model, with at most one successor. It needs no model call.

    The model's own chat template renders them. What the actions after it decide is the assistant's
    answer. Later messages continue the conversation.

    :ivar messages: the messages: `ChatMessage`, or mappings with the keys "role" and "content".
        No special tokens are parsed in their contents.
    :ivar template_arguments: variables of the chat template, such as `{"enable_thinking": False}`;
        None for those of the conversation so far, or of the model.
    """

    kind = "messages"

    messages: tuple[ChatMessage, ...]
    template_arguments: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "messages", as_chat_messages(self.messages))


@dataclass(frozen=True, kw_only=True)
class Choose(Action):
    """A choice among strings, with one successor for all of them, one per choice, or none.

    The run ranks the choices by `norm` and follows the best one. It follows another choice if its
    rank is below `width` and its probability is at least `threshold`. The others stay in the tree,
    marked as pruned.

    :ivar choices: texts, templates, `Choice` for a value or several texts, or `Each` for one choice
        per item of a list.
    :ivar width: the largest number of choices that the run follows; None for all.
    :ivar threshold: the smallest probability of a choice that the run follows.
    :ivar threshold_on: the probability that `threshold` limits: the share among the choices
        ("prob"), or the mean probability of the choice's tokens ("mean").
    :ivar norm: the score that ranks the choices.
    :ivar suffix: text that must follow a choice, or `EOS`; it is scored with the choice, but is not
        part of its text.
    :ivar unconditional_prompt: for the norm "pmi", the text that replaces the prompt; None for BOS
        alone, or for the constant text before the choices if the model adds no BOS.
    :ivar thinking: let the model think before the choice; None for not.
    :ivar top: read only the part of the token choice tree that proves so many of the best choices.
        The thought tree has these alone, and their probability is often only known within bounds.
        None for all choices.
    """

    kind = "choose"

    choices: tuple[str | Template | Choice | Each, ...]
    width: int | None = 1
    threshold: float = 0.0
    threshold_on: ThresholdOn = "prob"
    norm: Norm = "sum"
    suffix: str | EndOfSequence | None = None
    unconditional_prompt: str | None = None
    thinking: Thinking | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "thinking", as_thinking(self.thinking))
        choices: tuple[str | Template | Choice | Each, ...] = _as_tuple(self.choices)
        plain = (
            choice.texts[0] if isinstance(choice, Choice) and choice.is_plain_text else choice
            for choice in choices
        )
        object.__setattr__(self, "choices", tuple(plain))

    @cached_property
    def as_winner(self) -> Choose:
        """The same action, which reads only the best choice."""
        return replace(self, top=1)

    @cached_property
    def texts(self) -> ChoiceTexts:
        """The texts and values of the choices, once the templates are filled in."""
        return ChoiceTexts.of(
            [choice for choice in self.choices if isinstance(choice, str | Choice)]
        )


@dataclass(frozen=True, kw_only=True)
class Complete(Action):
    """Text that the model writes, by beam search or by sampling, with at most one successor.

    :ivar length: the largest number of tokens.
    :ivar stop: strings that end the text; they are not part of it.
    :ivar beams: the number of beams; 1 is greedy decoding.
    :ivar length_penalty: beams rank by logprob / tokens ** length_penalty.
    :ivar width: the largest number of finished beams that the run follows, as in `Choose`.
    :ivar threshold: the smallest probability of a beam that the run follows, as in `Choose`.
    :ivar threshold_on: the probability that `threshold` limits, as in `Choose`.
    :ivar vocab: the allowed tokens, or the name of one of the automaton's `vocabs`; None for all.
    :ivar eos: whether an end-of-sequence token may end the text.
    :ivar regex: a regular expression that the whole text must match; None for any text.
    :ivar grammar: in place of `regex`, a grammar in Lark's syntax.
    :ivar json_schema: in place of `regex`, a JSON Schema whose instance the text must be.
    :ivar followed_by: with a constraint, a regular expression of the text that must follow. The
        text ends where its first byte begins; the token with that byte is scored, but what follows
        is not part of the text.
    :ivar samples: the number of sampled texts, which become siblings; 0 for beam search.
    :ivar temperature: of sampling; 1 leaves the model's probabilities unchanged.
    :ivar top_p: sample only from the likeliest tokens that together have this probability.
    :ivar seed: random seed of sampling.
    :ivar thinking: let the model think before it writes; None for not.
    :ivar importance_weights: weigh the samples so that they estimate the probabilities of texts
        given the whole constraint, not token by token; only with `temperature` and `top_p` 1.
    """

    kind = "complete"

    length: int
    stop: tuple[str, ...] = ()
    beams: int = 1
    width: int | None = 1
    threshold: float = 0.0
    threshold_on: ThresholdOn = "prob"
    length_penalty: float = 1.0
    vocab: str | Vocabulary | None = None
    eos: bool = True
    regex: str | None = None
    grammar: str | None = None
    json_schema: Mapping[str, Any] | bool | None = field(default=None, hash=False)
    followed_by: str | None = None
    samples: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    thinking: Thinking | None = None
    importance_weights: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "thinking", as_thinking(self.thinking))
        object.__setattr__(self, "stop", _as_tuple(self.stop))

    @cached_property
    def constraint(self) -> Constraint | None:
        """What the whole text must be; None for any text.

        :raises InputError: if several of `regex`, `grammar` and `json_schema` are given.
        """
        return Constraint.from_arguments(
            regex=self.regex,
            grammar=self.grammar,
            json_schema=self.json_schema,
            where=f'action "{self.uid}"',
        )


@dataclass(frozen=True, kw_only=True)
class Record(Action):
    r"""A typed record that the model writes, with at most one successor.

    Before a run, it becomes texts, choices and constrained completions, whose uids begin with its
    own uid. Its field of the result holds the value as JSON data.

    :ivar schema: a JSON Schema, or a type of Python that pydantic makes one of.
    :ivar template: how the record is written, such as "Name: {name}, age: {age}"; None for JSON.
    :ivar flat: whether each of its fields is also a field of the result: "NAME.items[].price".
    :ivar beams: the number of beams of each text.
    :ivar max_tokens_per_text: the largest number of tokens of a string or number.
    :ivar max_items: the largest number of items of a list without `maxItems`.
    """

    kind = "record"

    schema: Any = field(hash=False)
    template: str | None = None
    flat: bool = False
    beams: int = 1
    max_tokens_per_text: int = 64
    max_items: int = 20


@dataclass(frozen=True, kw_only=True)
class Ask(Action):
    """A group of questions that start from the same place, with at most one successor.

    Each question sees the text before the group and none of the others. It follows its best branch
    to its own end. Then the path continues with the text before the group.

    :ivar questions: the actions of each question; a question starts at its first action.
    :ivar for_each: ask all questions for each item of a list; `name` is then the field of the
        record for the answers, by item. None to ask them once.
    :ivar items: None before `bind`. After it, the items of `for_each` by their names in the result;
        `questions` are then those of the first item, those of the second, and so on.
    """

    kind = "ask"

    questions: tuple[tuple[Action, ...], ...]
    for_each: ForEach | None = None
    items: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "questions", tuple(map(_as_tuple, self.questions)))

    @property
    def first_questions(self) -> tuple[tuple[Action, ...], ...]:
        """The questions, after `bind` only those of the first item."""
        count = len(self.questions) // len(self.items) if self.items else None
        return self.questions[:count]

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that its questions name, each once."""
        actions = (action for question in self.first_questions for action in question)
        return tuple(dict.fromkeys(action.name for action in actions if action.name is not None))


def _as_tuple(value: Item | Iterable[Item]) -> tuple[Item, ...]:
    """Return a sequence as a tuple; a single string or template becomes its only entry."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)
