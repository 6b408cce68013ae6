"""The commands of core: their names in the order of the help, and where each one is.

The first sentences of their help are here, too: so `autocog --help` imports no command.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import typer
from typer.main import get_group

from autocog_core.cli.lazy_command import LazyCommand
from autocog_core.cli.option_groups import expand_options

#: By name: the module in `autocog_core.cli`, and the first sentence of the function's docstring.
#: The function has the name of the command.
CORE_COMMANDS = {
    "init": (
        "init",
        "Write a commented autocog.toml, a first program and a table with rows for it.",
    ),
    "demo": (
        "demo",
        "Let a model reason and answer 52 questions, with the exact probability of each answer.",
    ),
    "backends": ("backends", "List the installed backends, or show what one offers."),
    "models": ("models", "List the models of the config file."),
    "tokenize": ("tokens", "Show the tokens of a text: ids and texts."),
    "greedy": ("tokens", "Show the most likely next tokens after a prompt."),
    "complete": ("complete", "Continue a prompt, and print the text while the model writes it."),
    "choose": ("choose", "Score texts as continuations of a prompt, and pick the best."),
    "record": (
        "record",
        "Let the model write a typed record, and print each field with its probability.",
    ),
    "score": ("score", "Show how likely texts are: log-probability, surprisal and perplexity."),
    "compare": (
        "compare",
        "Compare two models, quantizations or backends: tokens, log-probabilities, picks and "
        "speed.",
    ),
    "run": ("run", "Run a program on one input, or on every row of a file."),
    "export": ("export", "Write the rows of a run as a table."),
    "merge": (
        "merge",
        "Join the outputs of all shards of a run, made by `autocog run --shard I/N`.",
    ),
    "report": (
        "report",
        "Write a report of finished runs: accuracy, calibration, costs, and how runs differ.",
    ),
    "serve": (
        "serve",
        "Serve models over HTTP: OpenAI's protocol, System One, and exact choices.",
    ),
    "compare-norms": (
        "compare_norms",
        "Compare all norms of a choice on rows with right answers, and recommend one.",
    ),
    "check": ("check", "Check a program for errors, without running it."),
    "show": (
        "show_program",
        "Draw a program or a result tree, or compare two trees.",
    ),
    "doctor": ("doctor", "Check plugins, config file, models and environment."),
    "conformance": ("conformance", "Check that a backend returns correct numbers."),
    "new-plugin": ("new_plugin", "Write the package of a new plugin."),
    "docs": ("docs", "List the pages of the documentation, or print one."),
}


def core_commands() -> Iterator[LazyCommand]:
    """Yield the commands of core, without importing them."""
    for name, (_, summary) in CORE_COMMANDS.items():
        yield LazyCommand(name, partial(load_core_command, name), help=summary)


def load_core_command(name: str) -> Any:
    """Import a command of core.

    :param name: its name.
    """
    module = import_module(f"autocog_core.cli.{CORE_COMMANDS[name][0]}")
    function = getattr(module, name.replace("-", "_"))
    parent = typer.Typer(add_completion=False, rich_markup_mode=None)
    parent.command(name)(expand_options(function))
    return get_group(parent).commands[name]
