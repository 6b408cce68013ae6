"""RunPlan: how to run an automaton on each row, wherever its models are."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from autocog_core.automaton.inputs import require_valid_values
from autocog_core.automaton.winners import ChoiceProbs, require_winners, with_winners
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_file import InputFile
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.output_row import OutputRow
from autocog_core.dataset.row_marginals import check_marginals
from autocog_core.dataset.value_identity import values_identity
from autocog_core.evaluation.concurrency import Concurrency
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.types.backend_info import Usage
from autocog_core.version import __version__

#: What identifies a model: its name, its fingerprint, and the variables of its chat template.
ModelIdentity = Mapping[str, str]


class Meter(Protocol):
    """What models used since the meter was made."""

    def read(self) -> dict[str, Usage]:
        """Return the usage by model."""
        ...


@dataclass(frozen=True)
class RunPlan(ABC):
    """How to run an automaton on each row. Subclasses know the models, or where they are.

    :ivar automaton: the automaton.
    :ivar values: values of inputs that are the same for all rows, such as few-shot examples. A row
        that has a value with such a name is an error.
    :ivar budget: the budget of each row.
    :ivar concurrency: how many rows run at once; "auto" takes what suits the models.
    :ivar gold: the right answers, which are added to the output rows.
    :ivar tree_dir: a folder for the whole trees (`000012.json` for row 12); None writes none.
    :ivar strategy: "token_tree" or "text"; None uses "token_tree" where the model supports it.
    :ivar marginals: the fields whose marginals are added to the output rows.
    :ivar probs: "winner" reads only what proves the best choice of each action, so that the rows
        have bounds in place of most probabilities.
    :ivar program_name: what reports call the program, such as its file.
    """

    automaton: Automaton
    _: KW_ONLY
    values: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget | None = None
    concurrency: Concurrency = 1
    gold: Gold | None = None
    tree_dir: Path | None = None
    strategy: Strategy | None = None
    marginals: Sequence[str] = ()
    probs: ChoiceProbs = "all"
    program_name: str = ""

    def __post_init__(self) -> None:
        require_valid_values(self.automaton.inputs, self.values)
        require_winners(self.automaton, self.probs)
        check_marginals(with_winners(self.automaton, self.probs), self.marginals)

    @property
    def gold_field(self) -> str | None:
        """The field that is compared with right answers; None for no comparison."""
        return None if self.gold is None else self.gold.field

    @property
    def has_gold_marginals(self) -> bool:
        """Whether the marginals of this field are added to the output rows."""
        return self.gold_field in self.marginals

    @property
    @abstractmethod
    def backend_name(self) -> str:
        """The name of the main model's backend."""

    @abstractmethod
    def model_identities(self) -> Mapping[str | None, ModelIdentity]:
        """Return what identifies each model, by the name that actions use; None is the main one."""

    @abstractmethod
    def start_usage_meter(self) -> Meter:
        """Start to count the usage of the models."""

    @abstractmethod
    def output_rows(self, rows: Iterable[Row]) -> Iterator[OutputRow]:
        """Yield the output row of each row, in order, and write its tree if `tree_dir` is given.

        A bad row yields an error, and the run continues.

        :param rows: the input rows.
        :raises AutocogError: for errors that concern all rows, such as a closed model.
        """

    def identity(self, source: InputFile) -> dict[str, Any]:
        """Return everything that determines the output for an input file."""
        models = dict(self.model_identities())
        main = models.pop(None)
        return {
            "program": self.automaton.digest,
            "model": main,
            "models": {str(name): models[name] for name in sorted(models, key=str)},
            "input": source.identity(),
            "values": values_identity(self.values),
            "budget": asdict(self.budget or Budget()),
            "strategy": self.strategy,
            "gold": None if self.gold is None else asdict(self.gold),
            "marginals": list(self.marginals) or None,
            "probs": self.probs,
            "folder of trees": None if self.tree_dir is None else str(self.tree_dir),
            "version of autocog": __version__,
        }


def identify_model(model: Model) -> ModelIdentity:
    """Return what identifies a model."""
    identity = {"name": model.info.name, "fingerprint": model.info.fingerprint}
    if arguments := model.client.template_arguments:
        identity["template_arguments"] = json.dumps(dict(arguments), sort_keys=True)
    return identity
