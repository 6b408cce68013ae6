"""Scores of choices: from text to token ids, to a token choice tree, to log-probabilities."""

from __future__ import annotations

from autocog_core.scoring.choice_encoding import EncodedChoices, encode_choices
from autocog_core.scoring.choice_tree import TokenChoiceTree, choose_many
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.types.choice import SCORE_FIELD_OF_NORM

__all__ = [
    "SCORE_FIELD_OF_NORM",
    "EncodedChoices",
    "TokenChoiceTree",
    "check_sequence",
    "choose_many",
    "encode_choices",
    "encode_prompt",
]
