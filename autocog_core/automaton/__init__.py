"""Automata as data: actions, graph, inputs, templates, token sets and their checks."""

from __future__ import annotations

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Messages, Record, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.choices import Choice
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import Input
from autocog_core.automaton.templates.for_each import ForEach
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.automaton.token_sets import (
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
    "Ask",
    "AutomatonGraph",
    "Choice",
    "Choose",
    "Complement",
    "Complete",
    "Difference",
    "Each",
    "Finding",
    "ForEach",
    "Input",
    "Intersect",
    "Messages",
    "Record",
    "Regex",
    "Strings",
    "Template",
    "Text",
    "Tokens",
    "Union",
    "Vocabulary",
]
