"""autocog: thought automata on language models, with an exact probability for every choice.

In short:

    import autocog_core as autocog

    with autocog.load("smol") as model:
        result = model.choose("The capital of France is", [" Paris", " Lyon", " Rome"])
        print(result.choice, result.best.prob)
"""

from __future__ import annotations

from autocog_core.config import Config, read_config
from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ConfigError,
    ContextOverflowError,
    ContractError,
    EngineError,
    InputError,
    ModelLoadError,
    NumericsError,
    OutOfMemoryError,
    PluginBrokenError,
    PluginConflictError,
    PluginContractError,
    PluginDependencyError,
    PluginError,
    PluginNotInstalledError,
    UsageError,
)
from autocog_core.fta import Automaton, Budget, Choose, Complete, Each, Input, Template, Text
from autocog_core.ftt import ThoughtNode, ThoughtPath, ThoughtTree
from autocog_core.lm import LM, ChoiceLM, GreedyLM
from autocog_core.load import load
from autocog_core.markers import CONTRACT_VERSION, hookimpl
from autocog_core.model import Model, NextToken
from autocog_core.options import BackendOptions
from autocog_core.pieces import Prompt, TextPiece, TokenPiece
from autocog_core.retry import RetryPolicy
from autocog_core.types import (
    EOS,
    BackendInfo,
    ChoiceRequest,
    ChoiceScore,
    ChoiceScores,
    Completion,
    CompletionRequest,
    SpecialToken,
    TreeQuery,
    TreeScores,
    Usage,
)
from autocog_core.version import __version__

__all__ = [
    "CONTRACT_VERSION",
    "EOS",
    "LM",
    "AutocogError",
    "Automaton",
    "BackendInfo",
    "BackendOptions",
    "Budget",
    "CapabilityError",
    "ChoiceLM",
    "ChoiceRequest",
    "ChoiceScore",
    "ChoiceScores",
    "Choose",
    "ClosedError",
    "Complete",
    "Completion",
    "CompletionRequest",
    "Config",
    "ConfigError",
    "ContextOverflowError",
    "ContractError",
    "Each",
    "EngineError",
    "GreedyLM",
    "Input",
    "InputError",
    "Model",
    "ModelLoadError",
    "NextToken",
    "NumericsError",
    "OutOfMemoryError",
    "PluginBrokenError",
    "PluginConflictError",
    "PluginContractError",
    "PluginDependencyError",
    "PluginError",
    "PluginNotInstalledError",
    "Prompt",
    "RetryPolicy",
    "SpecialToken",
    "Template",
    "Text",
    "TextPiece",
    "ThoughtNode",
    "ThoughtPath",
    "ThoughtTree",
    "TokenPiece",
    "TreeQuery",
    "TreeScores",
    "Usage",
    "UsageError",
    "__version__",
    "hookimpl",
    "load",
    "read_config",
]
