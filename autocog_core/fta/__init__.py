"""Finite thought automata: programs for language models, as data."""

from __future__ import annotations

from autocog_core.fta.actions import Action, Choose, Complete, Text
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.budget import Budget
from autocog_core.fta.checks import Finding
from autocog_core.fta.inputs import Input
from autocog_core.fta.templates import Each, Template
from autocog_core.fta.vocabularies import (
    Complement,
    Difference,
    Intersect,
    Regex,
    Strings,
    Tokens,
    Union,
    Vocabulary,
)

__all__ = [
    "Action",
    "Automaton",
    "Budget",
    "Choose",
    "Complement",
    "Complete",
    "Difference",
    "Each",
    "Finding",
    "Input",
    "Intersect",
    "Regex",
    "Strings",
    "Template",
    "Text",
    "Tokens",
    "Union",
    "Vocabulary",
]
