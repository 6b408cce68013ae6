"""autocog: thought automata on language models, with an exact probability for every choice.

In short:

    import autocog_core as autocog

    with autocog.load("smol") as model:
        result = model.choose("The capital of France is", [" Paris", " Lyon", " Rome"])
        print(result.choice, result.best.prob)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocog_core.lazy import lazy_names
from autocog_core.version import __version__

if TYPE_CHECKING:
    from autocog_core.advice.codes import WarningCode
    from autocog_core.advice.issue import AutocogWarning, silence
    from autocog_core.async_calls.async_model import AsyncModel
    from autocog_core.automaton.actions import Ask, Choose, Complete, Messages, Record, Text
    from autocog_core.automaton.choices import Choice
    from autocog_core.automaton.inputs import Input
    from autocog_core.automaton.messages import ChatMessage
    from autocog_core.automaton.templates.for_each import ForEach
    from autocog_core.automaton.templates.template import Each, Template
    from autocog_core.automaton.thinking import Thinking
    from autocog_core.config.config_file import Config, read_config
    from autocog_core.config.options import BackendOptions, Resource
    from autocog_core.errors import (
        AutocogError,
        CapabilityError,
        ClosedError,
        ConfigError,
        ContextOverflowError,
        ContractError,
        EngineError,
        HookError,
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
    from autocog_core.hooks.automaton_run import Budget
    from autocog_core.hooks.retry import RetryPolicy
    from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl
    from autocog_core.model.automaton import Automaton
    from autocog_core.model.engine_lm import EngineLM
    from autocog_core.model.lm import LM, ChoiceLM, GreedyLM
    from autocog_core.model.load import load
    from autocog_core.model.model import Model, NextToken
    from autocog_core.model.tokenizer_lm import TokenizerLM
    from autocog_core.records.result import Alternative, RecordField, TypedRecord
    from autocog_core.records.styles import JsonStyle, TemplateStyle
    from autocog_core.types.backend_info import BackendInfo, SpecialToken, Usage
    from autocog_core.types.choice import (
        EOS,
        ChoiceRequest,
        ChoiceScore,
        ChoiceScores,
        EndOfSequence,
        Norm,
    )
    from autocog_core.types.comparison import Comparison
    from autocog_core.types.comparison_parts import (
        ComparedModel,
        Flip,
        PositionDifference,
        Spread,
        TokenDifference,
    )
    from autocog_core.types.completion import Completion, CompletionRequest, FinishReason
    from autocog_core.types.constraint import Constraint, ConstraintKind
    from autocog_core.types.marginal import Marginal, MarginalValue
    from autocog_core.types.prompt import Message, Prompt, PromptLike, TextPiece, TokenPiece
    from autocog_core.types.ranking import RankedItem
    from autocog_core.types.text_score import PairScore, ScoredToken, ScoredWord, TextScore
    from autocog_core.types.thought_tree import ThoughtNode, ThoughtPath, ThoughtTree
    from autocog_core.types.token_tree import TreeQuery, TreeScores
    from autocog_core.types.top_choices import TopChoice, TopChoices
    from autocog_core.types.tree_diff import AlternativeDiff, DecisionDiff, TreeDiff, Unaligned
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "autocog_core.advice.codes": ("WarningCode",),
            "autocog_core.advice.issue": ("AutocogWarning", "silence"),
            "autocog_core.automaton.actions": (
                "Ask",
                "Choose",
                "Complete",
                "Messages",
                "Record",
                "Text",
            ),
            "autocog_core.automaton.choices": ("Choice",),
            "autocog_core.automaton.inputs": ("Input",),
            "autocog_core.async_calls.async_model": ("AsyncModel",),
            "autocog_core.automaton.messages": ("ChatMessage",),
            "autocog_core.automaton.templates.for_each": ("ForEach",),
            "autocog_core.automaton.templates.template": ("Each", "Template"),
            "autocog_core.automaton.thinking": ("Thinking",),
            "autocog_core.config.config_file": ("Config", "read_config"),
            "autocog_core.config.options": ("BackendOptions", "Resource"),
            "autocog_core.errors": (
                "AutocogError",
                "CapabilityError",
                "ClosedError",
                "ConfigError",
                "ContextOverflowError",
                "ContractError",
                "EngineError",
                "HookError",
                "InputError",
                "ModelLoadError",
                "NumericsError",
                "OutOfMemoryError",
                "PluginBrokenError",
                "PluginConflictError",
                "PluginContractError",
                "PluginDependencyError",
                "PluginError",
                "PluginNotInstalledError",
                "UsageError",
            ),
            "autocog_core.hooks.automaton_run": ("Budget",),
            "autocog_core.hooks.retry": ("RetryPolicy",),
            "autocog_core.hooks.specs": ("CONTRACT_VERSION", "hookimpl"),
            "autocog_core.model.automaton": ("Automaton",),
            "autocog_core.model.engine_lm": ("EngineLM",),
            "autocog_core.model.lm": ("LM", "ChoiceLM", "GreedyLM"),
            "autocog_core.model.load": ("load",),
            "autocog_core.model.model": ("Model", "NextToken"),
            "autocog_core.model.tokenizer_lm": ("TokenizerLM",),
            "autocog_core.records.result": ("Alternative", "RecordField", "TypedRecord"),
            "autocog_core.records.styles": ("JsonStyle", "TemplateStyle"),
            "autocog_core.types.backend_info": ("BackendInfo", "SpecialToken", "Usage"),
            "autocog_core.types.choice": (
                "EOS",
                "ChoiceRequest",
                "ChoiceScore",
                "ChoiceScores",
                "EndOfSequence",
                "Norm",
            ),
            "autocog_core.types.comparison": ("Comparison",),
            "autocog_core.types.comparison_parts": (
                "ComparedModel",
                "Flip",
                "PositionDifference",
                "Spread",
                "TokenDifference",
            ),
            "autocog_core.types.completion": ("Completion", "CompletionRequest", "FinishReason"),
            "autocog_core.types.constraint": ("Constraint", "ConstraintKind"),
            "autocog_core.types.marginal": ("Marginal", "MarginalValue"),
            "autocog_core.types.prompt": (
                "Message",
                "Prompt",
                "PromptLike",
                "TextPiece",
                "TokenPiece",
            ),
            "autocog_core.types.ranking": ("RankedItem",),
            "autocog_core.types.text_score": (
                "PairScore",
                "ScoredToken",
                "ScoredWord",
                "TextScore",
            ),
            "autocog_core.types.thought_tree": ("ThoughtNode", "ThoughtPath", "ThoughtTree"),
            "autocog_core.types.token_tree": ("TreeQuery", "TreeScores"),
            "autocog_core.types.top_choices": ("TopChoice", "TopChoices"),
            "autocog_core.types.tree_diff": (
                "AlternativeDiff",
                "DecisionDiff",
                "TreeDiff",
                "Unaligned",
            ),
        },
    )

__all__ = [
    "CONTRACT_VERSION",
    "EOS",
    "LM",
    "Alternative",
    "AlternativeDiff",
    "Ask",
    "AsyncModel",
    "AutocogError",
    "AutocogWarning",
    "Automaton",
    "BackendInfo",
    "BackendOptions",
    "Budget",
    "CapabilityError",
    "ChatMessage",
    "Choice",
    "ChoiceLM",
    "ChoiceRequest",
    "ChoiceScore",
    "ChoiceScores",
    "Choose",
    "ClosedError",
    "ComparedModel",
    "Comparison",
    "Complete",
    "Completion",
    "CompletionRequest",
    "Config",
    "ConfigError",
    "Constraint",
    "ConstraintKind",
    "ContextOverflowError",
    "ContractError",
    "DecisionDiff",
    "Each",
    "EndOfSequence",
    "EngineError",
    "EngineLM",
    "FinishReason",
    "Flip",
    "ForEach",
    "GreedyLM",
    "HookError",
    "Input",
    "InputError",
    "JsonStyle",
    "Marginal",
    "MarginalValue",
    "Message",
    "Messages",
    "Model",
    "ModelLoadError",
    "NextToken",
    "Norm",
    "NumericsError",
    "OutOfMemoryError",
    "PairScore",
    "PluginBrokenError",
    "PluginConflictError",
    "PluginContractError",
    "PluginDependencyError",
    "PluginError",
    "PluginNotInstalledError",
    "PositionDifference",
    "Prompt",
    "PromptLike",
    "RankedItem",
    "Record",
    "RecordField",
    "Resource",
    "RetryPolicy",
    "ScoredToken",
    "ScoredWord",
    "SpecialToken",
    "Spread",
    "Template",
    "TemplateStyle",
    "Text",
    "TextPiece",
    "TextScore",
    "Thinking",
    "ThoughtNode",
    "ThoughtPath",
    "ThoughtTree",
    "TokenDifference",
    "TokenPiece",
    "TokenizerLM",
    "TopChoice",
    "TopChoices",
    "TreeDiff",
    "TreeQuery",
    "TreeScores",
    "TypedRecord",
    "Unaligned",
    "Usage",
    "UsageError",
    "WarningCode",
    "__version__",
    "hookimpl",
    "load",
    "read_config",
    "silence",
]
