"""Choices by the scores of an echoed prompt: exact if they obey the chain rule."""

from __future__ import annotations

import pytest

from autocog_core.errors import CapabilityError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.wrong_echo import WrongEcho

CHOICES = [" Paris", " Lyon", " Par", " \u00e9t\u00e9"]


def test_a_right_echo_scores_every_choice_by_one_request(
    connect: Connect, byte_tokenizer: str
) -> None:
    server = WrongEcho(right=True)
    model = connect(server, tokenizer=byte_tokenizer)
    assert model.as_model().info.details["prompt_logprobs"] == "right"
    server.log.clear()
    for more in ({}, {"suffix": "\n"}, {"norm": "per_byte"}):
        server.log.clear()
        found = model.choose("The capital", CHOICES[:3], **more)
        expected = server.engine.model.choose("The capital", CHOICES[:3], **more)
        assert (found.method, found.exact, found.choice) == ("echo", True, expected.choice)
        for one, other in zip(found.scores, expected.scores, strict=True):
            assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=1e-5)
            assert one.exclusive_logprob == pytest.approx(other.exclusive_logprob, abs=1e-5)
            assert one.prob == pytest.approx(other.prob, abs=1e-5)
        assert len(server.log.requests) == 3


def test_incomplete_characters_in_an_echo_are_not_exact(
    connect: Connect, byte_tokenizer: str
) -> None:
    # A character of two tokens: the server writes U+FFFD for each.
    model = connect(WrongEcho(right=True), tokenizer=byte_tokenizer)
    found = model.choose("The capital", CHOICES, method="top_logprobs")
    assert not found.exact
    with pytest.raises(CapabilityError):
        model.choose("The capital", CHOICES, method="echo")


def test_a_wrong_echo_is_not_used(connect: Connect, byte_tokenizer: str) -> None:
    model = connect(WrongEcho(), tokenizer=byte_tokenizer)
    with pytest.raises(CapabilityError, match="echo"):
        model.choose("The capital", CHOICES[:2], method="echo")
    assert model.choose("The capital", CHOICES[:2], method="top_logprobs").method == "top_logprobs"


def test_pmi_needs_named_tokens(connect: Connect, byte_tokenizer: str) -> None:
    model = connect(WrongEcho(right=True), tokenizer=byte_tokenizer)
    with pytest.raises(CapabilityError, match="pmi"):
        model.choose("The capital", CHOICES[:2], norm="pmi", unconditional_prompt="x")
