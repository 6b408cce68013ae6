"""Automata for several tests and their child processes, on tiny models."""

from __future__ import annotations

from autocog_core import Automaton, Choose, Complete, Input, Template, Text

QUESTION = Automaton(
    [
        Text(uid="q", text=Template("{{ q }}: "), successors="c"),
        Choose(uid="c", choices=("in", "is", "10"), width=2, successors="w"),
        Complete(uid="w", length=4, beams=2, width=2),
    ],
    inputs={"q": Input(default="Paris")},
)
#: Has thousands of paths, which take minutes.
LONG = Automaton(
    [
        Text(uid="t", text="a", successors="c"),
        Choose(uid="c", choices=tuple("abcdefgh"), width=None, max_visits=9, successors="c"),
    ]
)
