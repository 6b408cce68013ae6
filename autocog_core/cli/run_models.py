"""The models on which `autocog run` runs a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autocog_core as autocog
from autocog_core.cli.inputs import parse_backend_options, split_pairs
from autocog_core.cli.loading import ModelOptions, load_configured_model
from autocog_core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from autocog_core import Automaton, Model
    from autocog_core.runners import ModelReferences


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
        used = sorted(
            {action.model for action in automaton.all_actions if action.model is not None}
        )
        replacements = dict(split_pairs("--models", pairs, "NAME=MODEL"))
        for unused in replacements.keys() - set(used):
            raise InputError(
                f'no action of the program uses a model "{unused}"',
                where="--models",
                hint=did_you_mean(unused, used) or "leave it out",
            )
        configured_names = {name: replacements.get(name, name) for name in used}
        configured = autocog.read_config(main.config).models if configured_names else {}
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

    def references(self) -> ModelReferences:
        """Return what loads the models in another process."""
        from autocog_core.runners import ModelReferences

        main = self.main
        more: dict[str, Any] = {
            "names": self.configured_names,
            "template_arguments": main.template_arguments,
            "silenced": tuple(main.silence or ()),
        }
        # Errors of the options are those of loading the model here.
        main.loader()
        if main.backend is None:
            return ModelReferences.of_config(main.model, main.config, **more)
        options = parse_backend_options(main.option or ())
        return ModelReferences.of_backend(main.backend, options, **more)
