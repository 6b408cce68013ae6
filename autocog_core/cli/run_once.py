"""`autocog run` on one input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocog_core.cli.output import show_json
from autocog_core.cli.page_file import write_page
from autocog_core.cli.run_models import ProgramModels
from autocog_core.cli.run_output import show_result, show_usage

if TYPE_CHECKING:
    from autocog_core import Automaton, Budget
    from autocog_core.automaton.winners import ChoiceProbs
    from autocog_core.evaluation.evaluation import Strategy


def run_once(
    automaton: Automaton,
    program_models: ProgramModels,
    values: Mapping[str, Any],
    budget: Budget,
    strategy: Strategy | None,
    marginals: Sequence[str],
    as_json: bool,
    probs: ChoiceProbs,
    html: Path | None,
) -> None:
    """Run a program on one input, and show its tree."""
    from autocog_core.dataset import UsageMeter

    # Loading a model may take long, so wrong values are reported before.
    automaton.bind(values)
    with program_models.open() as (main, others):
        meter = UsageMeter(main, others)
        tree = automaton.run(
            main, values, models=others, budget=budget, strategy=strategy, probs=probs
        )
        usage = meter.read()
        if as_json or html is not None:
            tree = tree.with_token_bytes(main, others)
    if html is not None:
        write_page(html, tree.to_html())
    if as_json:
        show_json(tree.to_dict())
    else:
        show_result(tree, marginals)
    show_usage(usage)
