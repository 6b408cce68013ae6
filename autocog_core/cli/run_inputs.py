"""The arguments of `autocog run` and `check`: values of inputs, and the models of a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocog_core import read_config
from autocog_core.cli.inputs import read_text_file, split_pairs
from autocog_core.cli.loading import ModelOptions, load_configured_model
from autocog_core.errors import InputError, did_you_mean
from autocog_core.model.model import Model

if TYPE_CHECKING:
    from autocog_core import Automaton


def input_values(automaton: Automaton, pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values of the automaton's inputs from `NAME=VALUE` pairs.

    `@FILE` stands for the text of a file, and `@@` for one @.

    :raises InputError: for a malformed pair, a repeated name, or a name that is no input.
    """
    values: dict[str, Any] = {}
    for name, text in split_pairs("--set", pairs, "NAME=VALUE"):
        if name not in automaton.inputs:
            problem = f'no input "{name}"' if automaton.inputs else "no inputs"
            hint = did_you_mean(name, automaton.inputs) or "leave out --set"
            raise InputError(f"the program has {problem}", where="--set", hint=hint)
        text = _replace_file_name(text)
        values[name] = _parse_json(text) if automaton.inputs[name].type == "any" else text
    return values


def _replace_file_name(text: str) -> str:
    if not text.startswith("@") or text.startswith("@@"):
        return text.removeprefix("@")
    return read_text_file(Path(text[1:])).removesuffix("\n")


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@dataclass(frozen=True, kw_only=True)
class ProgramModels:
    """The models on which a program runs.

    :ivar main: selects the model of actions that name none.
    :ivar configured_names: the model of the config file for each model name in the program.
    """

    main: ModelOptions
    configured_names: dict[str, str]

    @classmethod
    def select(
        cls, automaton: Automaton, pairs: Sequence[str], main: ModelOptions
    ) -> ProgramModels:
        """Select the models by `NAME=MODEL` pairs; load none.

        :raises InputError: if no action uses a NAME, or a MODEL is not configured.
        """
        used = sorted({action.model for action in automaton.actions if action.model is not None})
        replacements = dict(split_pairs("--models", pairs, "NAME=MODEL"))
        for unused in replacements.keys() - set(used):
            raise InputError(
                f'no action of the program uses a model "{unused}"',
                where="--models",
                hint=did_you_mean(unused, used) or "leave it out",
            )
        configured_names = {name: replacements.get(name, name) for name in used}
        configured = read_config(main.config).models if configured_names else {}
        for name, model in configured_names.items():
            if model not in configured:
                raise InputError(
                    f'"{model}" is not configured, but actions of the program use "{name}"',
                    where="--models",
                    hint=f"give --models {name}=MODEL; {did_you_mean(model, configured)}",
                )
        return cls(main=main, configured_names=configured_names)

    @contextmanager
    def open(self) -> Iterator[tuple[Model, dict[str, Model]]]:
        """Load the main model and the named ones, each once; close them at the end of the block."""
        with self.main.open() as main, ExitStack() as stack:
            loaded = {main.name: main} if self.main.backend is None else {}
            for name in self.configured_names.values():
                if name not in loaded:
                    model = load_configured_model(name, self.main.config)
                    loaded[name] = stack.enter_context(model)
            yield main, {name: loaded[model] for name, model in self.configured_names.items()}
