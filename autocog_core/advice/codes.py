"""The codes of all warnings. docs/warnings.md has a section for each."""

from __future__ import annotations

from enum import StrEnum


class WarningCode(StrEnum):
    """The name of a kind of warning, by which it is explained and silenced."""

    CHOICE_ENDS_IN_BLANK = "choice-ends-in-blank"
    CHOICE_JOINS_WORD = "choice-joins-word"
    CHOICE_WITHOUT_BLANK = "choice-without-blank"
    CHOICE_AFTER_BLANK = "choice-after-blank"
    CHOICE_BEGINS_ANOTHER = "choice-begins-another"
    CHOICE_LENGTHS_DIFFER = "choice-lengths-differ"
    NORM_WITHOUT_EFFECT = "norm-without-effect"
    TEXT_ENDS_IN_BLANK = "text-ends-in-blank"
    TEXT_ENDS_IN_NEWLINE = "text-ends-in-newline"
    UNUSED_INPUT = "unused-input"
    FRESH_WITHOUT_TEXT = "fresh-without-text"
    SPECIAL_TOKEN_AS_TEXT = "special-token-as-text"  # noqa: S105
    UNKNOWN_SPECIAL_TOKEN = "unknown-special-token"  # noqa: S105
    CHAT_TEMPLATE_UNUSED = "chat-template-unused"
    UNKNOWN_CHAT_ROLE = "unknown-chat-role"
    STOP_LONGER_THAN_LENGTH = "stop-longer-than-length"
    LOOP_OF_TEXTS = "loop-of-texts"
    MAX_VISITS_TOO_LARGE = "max-visits-too-large"
