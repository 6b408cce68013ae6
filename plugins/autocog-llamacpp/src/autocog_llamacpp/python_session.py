"""A session in Python: llama.cpp is called through ctypes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autocog_core import TreeQuery, TreeScores
from autocog_core.answers import ArrayAnswers
from autocog_core.forest import Forest
from autocog_core.kept_rows import KeptRows
from autocog_core.numerics import log_softmax
from autocog_llamacpp.session import Rows
from autocog_llamacpp.state_evaluator import StateEvaluator
from autocog_llamacpp.tree_evaluator import TreeEvaluator


class PythonSession:
    """See `Session`."""

    def __init__(self, evaluator: TreeEvaluator | StateEvaluator) -> None:
        self.name = evaluator.name
        self._evaluator = evaluator
        self._rows: KeptRows[NDArray[np.float32]] = KeptRows(np.copy)

    @property
    def lent(self) -> bool:
        """See `Session`."""
        return self._evaluator.lent

    @lent.setter
    def lent(self, lent: bool) -> None:
        self._evaluator.lent = lent

    @property
    def held(self) -> int:
        """See `Session.held`."""
        return self._evaluator.held

    def lengths(self) -> list[int]:
        """See `Session.lengths`."""
        return self._evaluator.lengths()

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """See `Session.score_trees`."""
        answers = ArrayAnswers(queries)
        self._rows.answer(answers, self._evaluator.evaluate)
        return answers.answers()

    def row(self, tokens: Sequence[int]) -> Rows:
        """See `Session.row`."""
        forest = Forest(1)
        forest.wanted[forest.path(tokens, 0)] = True
        found: list[Rows] = []
        self._evaluator.evaluate(forest, lambda _, rows: found.append(log_softmax(rows[0])))
        return found[0]

    def open(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.open`."""
        return self._evaluator.open(tokens, count, handles)

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """See `Session.step`."""
        return self._evaluator.step(handles, tokens)

    def release(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.release`."""
        self._evaluator.release(handles, texts)

    def together(self, fitting: int) -> int:
        """See `Session.together`."""
        return self._evaluator.together(fitting)

    def forget(self) -> None:
        """See `Session.forget`."""
        self._rows.forget()
        self._evaluator.forget()
