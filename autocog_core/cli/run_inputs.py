"""What `autocog run` is given on the command line: values of inputs, and which models to open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocog_core import load, read_config
from autocog_core.cli.loading import open_model
from autocog_core.cli.session import session
from autocog_core.errors import InputError, did_you_mean
from autocog_core.model.model import Model

if TYPE_CHECKING:
    from autocog_core import Automaton


def input_values(automaton: Automaton, pairs: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` pairs as values of the automaton's inputs.

    `@FILE` stands for what is in a file, and `@@` for one @.

    :raises InputError: for what is no such pair, a name that is no input, or given twice.
    """
    found: dict[str, Any] = {}
    for name, text in _pairs("--set", pairs, "NAME=VALUE"):
        if name not in automaton.inputs:
            raise InputError(
                f'there is no input "{name}"',
                where="--set",
                hint=did_you_mean(name, automaton.inputs) or "the program has none",
            )
        text = _content(text)
        found[name] = _json_or_text(text) if automaton.inputs[name].type == "any" else text
    return found


@dataclass(frozen=True)
class WantedModels:
    """The models that a command asks for.

    :ivar named: for actions with `model`: by that name, a model of the config.
    """

    name: str | None
    config: Path | None
    backend: str | None
    options: Sequence[str] | None
    named: dict[str, str]

    @classmethod
    def of(
        cls,
        automaton: Automaton,
        pairs: Sequence[str],
        name: str | None,
        config: Path | None,
        backend: str | None,
        options: Sequence[str] | None,
    ) -> WantedModels:
        """What stands on the command line, checked before any model is loaded.

        :raises InputError: for a name that the program does not use, or a model that is not
            configured.
        """
        used = sorted({action.model for action in automaton.actions if action.model is not None})
        given = dict(_pairs("--models", pairs, "NAME=MODEL"))
        for unused in given.keys() - set(used):
            raise InputError(
                f'no action of the program names a model "{unused}"',
                where="--models",
                hint=did_you_mean(unused, used),
            )
        named = {each: given.get(each, each) for each in used}
        configured = read_config(config).models if named else {}
        for each, model in named.items():
            if model not in configured:
                raise InputError(
                    f'"{model}" is not configured, for the actions on "{each}"',
                    where="--models",
                    hint=f"give --models {each}=MODEL; {did_you_mean(model, configured)}",
                )
        return cls(name, config, backend, options, named)

    @contextmanager
    def opened(self) -> Iterator[tuple[Model, dict[str, Model]]]:
        """Load the main model and those named, each once; close them however the command ends."""
        with (
            open_model(self.name, self.config, self.backend, self.options) as main,
            ExitStack() as stack,
        ):
            loaded = {main.name: main} if self.backend is None else {}
            for model in self.named.values():
                if model not in loaded:
                    with session.waiting(f"loading {model} ..."):
                        loaded[model] = stack.enter_context(load(model, config=self.config))
            yield main, {name: loaded[model] for name, model in self.named.items()}


def _pairs(option: str, pairs: Sequence[str], form: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"{pair!r}", where=option, hint=f"write it as {form}")
        if name in seen:
            raise InputError(f'"{name}" is given twice', where=option)
        seen.add(name)
        yield name, value


def _content(text: str) -> str:
    if not text.startswith("@") or text.startswith("@@"):
        return text.removeprefix("@")
    path = Path(text[1:])
    try:
        return path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("is no UTF-8 text", where=str(path)) from error


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
