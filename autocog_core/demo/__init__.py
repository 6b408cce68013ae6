"""The quiz of `autocog demo`: a small model reasons and answers 52 questions."""

from __future__ import annotations

from autocog_core.demo.quiz import QUESTIONS, Answer, Question, answer_all, read_questions

__all__ = ["QUESTIONS", "Answer", "Question", "answer_all", "read_questions"]
