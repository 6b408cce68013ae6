"""The check of one configured model, in a child process: see `run_probe`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from autocog_core.config import plugins
from autocog_core.config.config_file import Config, ModelConfig, read_config
from autocog_core.doctor.environment import resident_bytes
from autocog_core.doctor.model_reports import FINGERPRINT_STEP, PARTNERS_STEP
from autocog_core.doctor.probe import ProbeChannel
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.report_redaction import register_secrets
from autocog_core.errors import AutocogError
from autocog_core.hooks.tiers import tier_names, tiers_of
from autocog_core.model.load import hidden_options, load, resolve_model
from autocog_core.model.model import Model
from autocog_core.model.prefix_sharing import measured_tiers
from autocog_core.model.turn_end import explain_undeclared_turn_end, find_turn_end


def probe_model(
    channel: ProbeChannel, path: str, name: str, depth: str, *partner_names: str
) -> None:
    """Check a model's options, load it, and report what its engine is.

    :param path: the config file.
    :param depth: "check" for the options alone, or "load".
    :param partner_names: models with the same `engine`, which are loaded beside it.
    """
    channel.report(step="checking the options")
    config = read_config(path)
    register_secrets(config)
    _, model = config.model(name)
    # Only the names, and first: if the process crashes, its output may contain the values.
    channel.report(hidden=[hidden_options(plugin) for plugin in _plugin_classes(model)])
    resolve_model(model, config, f"models.{name}.")
    if depth == "load":
        channel.report(step="loading the model")
        _load_model(channel, config, name, partner_names)


def _plugin_classes(model: ModelConfig) -> list[type[Any]]:
    wrappers = [plugins.load_class(entry.name, plugins.WRAPPERS) for entry in model.wrappers]
    return [plugins.load_class(model.backend), *wrappers]


def _load_model(
    channel: ProbeChannel, config: Config, name: str, partner_names: Sequence[str] = ()
) -> None:
    # Without wrappers, which may write files. Their options are checked already.
    bare_model = config.models[name].model_copy(update={"wrappers": ()})
    bare_config = config.model_copy(update={"models": {**config.models, name: bare_model}})
    start = time.perf_counter()
    with load(name, config=bare_config) as model:
        info = model.info
        channel.report(
            load_seconds=time.perf_counter() - start,
            resident_bytes=resident_bytes(),
            facts={
                "engine": info.name,
                "vocabulary_size": info.vocabulary_size,
                "context_length": info.context_length,
                "capabilities": model.capabilities,
                "offers": _find_offers(model),
                "tolerance": info.tolerance,
                "max_concurrency": info.max_concurrency,
                "details": info.details,
            },
        )
        channel.report(step="applying the chat template", warnings=_find_warnings(model))
        channel.report(step=FINGERPRINT_STEP)
        channel.report(fingerprint=info.fingerprint)
        for partner in partner_names:
            channel.report(step=PARTNERS_STEP)
            _probe_partner(channel.partner(partner), config, partner)
        channel.report(step="closing the model")


def _probe_partner(channel: ProbeChannel, config: Config, name: str) -> None:
    """Check another model of the engine, which is in memory."""
    model = config.models[name]
    try:
        channel.report(hidden=[hidden_options(plugin) for plugin in _plugin_classes(model)])
        resolve_model(model, config, f"models.{name}.")
        _load_model(channel, config, name)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        channel.report(problem=asdict(Problem.from_error(error)))
    channel.report(is_done=True)


def _find_offers(model: Model) -> list[str]:
    """Return the names of the tiers that the model offers."""
    try:
        return tier_names(measured_tiers(model.client))
    except AutocogError:
        # It cannot evaluate two short queries; its calls will say why.
        return tier_names(tiers_of(model.capabilities))


def _find_warnings(model: Model) -> list[str]:
    """Return what works, but probably not as the user expects."""
    if not {"chat_prompt", "tokenize"} <= set(model.capabilities):
        return []
    try:
        end = find_turn_end(model, "Hello")
    except AutocogError:
        # Without a chat template, or with one that refuses these messages, nothing is known.
        return []
    warning = "" if end is None else explain_undeclared_turn_end(model, end)
    return [warning] if warning else []
