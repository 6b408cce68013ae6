"""`POST /v1/vocabulary` and a model's fingerprint: what the ids of a model mean."""

from __future__ import annotations

from fastapi import APIRouter
from typing_extensions import TypedDict

from autocog_core.model.model import Model
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.request_body import ModelBody
from autocog_core.server.request_calls import Calls

router = APIRouter(tags=["tokens"])


class SpecialTokenAnswer(TypedDict):
    """A special token."""

    text: str
    id: int
    strips_left: bool
    strips_right: bool


class VocabularyAnswer(TypedDict):
    """What the ids of a model mean. A character of `tokens` is a byte (latin-1)."""

    name: str
    vocabulary_size: int
    context_length: int | None
    bos: int | None
    adds_bos: bool
    eos: list[int]
    special_tokens: list[SpecialTokenAnswer]
    restarts_after_special_tokens: bool | None
    splits_at_word_boundaries: bool
    unicode_normalization: str | None
    capabilities: list[str]
    isolates: bool
    tolerance: float
    tokens: list[str] | None


class FingerprintAnswer(TypedDict):
    """A hash of weights, tokenizer and engine: equal only for equal numbers."""

    fingerprint: str


@router.get("/v1/models/{name:path}/fingerprint")
async def fingerprint(name: str, calls: Calls) -> FingerprintAnswer:
    """Return the fingerprint of a model, which is loaded if it was not."""
    model = await calls.model(name)
    (value,) = await calls.make(model, [model.calls.call(lambda loaded: loaded.info.fingerprint)])
    return FingerprintAnswer(fingerprint=value)


@router.post("/v1/vocabulary", response_model=VocabularyAnswer)
async def vocabulary(body: ModelBody, calls: Calls) -> JsonAnswer:
    """Return the tokens of a model, and what else a client needs to use their ids."""
    model = await calls.model(body.model)
    (answer,) = await calls.make(model, [model.calls.call(_describe)])
    return await json_answer(lambda: answer, entries=answer["vocabulary_size"])


def _describe(model: Model) -> VocabularyAnswer:
    info = model.info
    has_vocabulary = "vocabulary" in model.capabilities
    return VocabularyAnswer(
        name=info.name,
        vocabulary_size=info.vocabulary_size,
        context_length=info.context_length,
        bos=info.bos,
        adds_bos=info.adds_bos,
        eos=list(info.eos),
        special_tokens=[
            SpecialTokenAnswer(
                text=token.text,
                id=token.id,
                strips_left=token.strips_left,
                strips_right=token.strips_right,
            )
            for token in info.special_tokens
        ],
        restarts_after_special_tokens=info.restarts_after_special_tokens,
        splits_at_word_boundaries=info.splits_at_word_boundaries,
        unicode_normalization=info.unicode_normalization,
        capabilities=list(model.capabilities),
        isolates=info.isolates,
        tolerance=info.tolerance,
        tokens=[raw.decode("latin-1") for raw in model.client.vocabulary()]
        if has_vocabulary
        else None,
    )
