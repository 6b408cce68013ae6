"""The three actions of an automaton. They are data: nothing here knows a model.

What an action needs of a model (token ids, masks) is prepared apart, so that one automaton may be
evaluated on several models, and twice on one, without a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

from autocog_core.automaton.templates.template import Each, Template
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.types.choice import EndOfSequence, Norm
from autocog_core.types.prompt import Prompt

ThresholdOn = Literal["prob", "mean"]
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Action:
    """What all actions have.

    :ivar uid: its name in the graph, unique.
    :ivar successors: uids of what comes next; none ends the path.
    :ivar name: the field of the record that its text goes to; None for no field.
    :ivar model: which of several models it runs on; None for the main one.
    :ivar max_visits: how often a path may come through; every cycle needs one action with it.
    :ivar metadata: what its author wants to remember; nothing reads it.
    """

    kind: ClassVar[str] = ""

    uid: str
    successors: tuple[str, ...] = ()
    name: str | None = None
    model: str | None = None
    max_visits: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "successors", _several(self.successors))


@dataclass(frozen=True, kw_only=True)
class Text(Action):
    """Fixed text. It costs nothing, unless it is to be evaluated; at most one successor.

    :ivar text: text, a template that gives it, or a prompt of pieces, of which only the trusted
        have special tokens parsed.
    :ivar evaluate: score it: its tokens then count as decided ones do.
    """

    kind = "text"

    text: str | Prompt | Template
    evaluate: bool = False


@dataclass(frozen=True, kw_only=True)
class Choose(Action):
    """A choice among strings; one successor for all of them, one for each, or none.

    Of the choices, ranked by `norm`, the best is followed; another while its rank is below `width`
    and its share of probability at least `threshold`. The others stay in the tree, pruned.

    :ivar choices: texts, templates that give them, or `Each` for one choice an item of a list.
    :ivar threshold_on: what `threshold` is held against: the share among the choices ("prob"), or
        the mean probability of the choice's tokens ("mean").
    :ivar suffix: text that must follow a choice, or `EOS`; it is scored with the choice, and is not
        part of its text.
    :ivar unconditional_prompt: for the norm "pmi", the text to condition on instead.
    """

    kind = "choose"

    choices: tuple[str | Template | Each, ...]
    width: int | None = 1
    threshold: float = 0.0
    threshold_on: ThresholdOn = "prob"
    norm: Norm = "sum"
    suffix: str | EndOfSequence | None = None
    unconditional_prompt: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "choices", _several(self.choices))


@dataclass(frozen=True, kw_only=True)
class Complete(Action):
    """Text that the model writes: by beam search, or by sampling; at most one successor.

    :ivar length: most tokens.
    :ivar stop: strings that end it; they are not part of its text.
    :ivar beams: beams of the search; 1 is greedy decoding.
    :ivar length_penalty: beams rank by logprob / tokens ** length_penalty.
    :ivar width: most of the finished beams that are followed, as in `Choose`.
    :ivar threshold: the least of a beam that is followed, as in `Choose`.
    :ivar threshold_on: what `threshold` is compared with, as in `Choose`.
    :ivar vocab: tokens that it may be made of, or the name of one of the automaton's `vocabs`.
    :ivar eos: whether the model's end of sequence may end it.
    :ivar samples: how many texts are sampled, as siblings; 0 for beam search.
    :ivar temperature: of sampling; 1 leaves the model's probabilities as they are.
    :ivar top_p: of sampling: the likeliest tokens that together have this probability; 1 for all.
    :ivar seed: of sampling.
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
    samples: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "stop", _several(self.stop))


def _several(given: Item | Iterable[Item]) -> tuple[Item, ...]:
    """One string (or template) stands for a sequence of one, and not for its letters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)
