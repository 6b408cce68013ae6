"""`POST /v1/score`: how likely texts are, as `Model.score`, `score_many` and `score_pairs` say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from autocog_core.server.autocog_api.prompts import PromptBody, as_prompt
from autocog_core.server.autocog_api.score_answer import ScoreAnswer
from autocog_core.server.autocog_api.usage import usage_of
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.named_calls import check_count, make_named_calls
from autocog_core.server.request_body import ModelBody
from autocog_core.server.request_calls import Calls
from autocog_core.server.request_errors import RequestError
from autocog_core.server.served_models import ServedModel
from autocog_core.server.whole_numbers import Positive
from autocog_core.types.text_score import PairScore, TextScore

router = APIRouter(tags=["scores"])
#: Bytes of all texts of one request, counted again for each window that they are part of.
MAX_BYTES = 4 * 1024 * 1024


class ScoreBody(ModelBody):
    """The arguments of `Model.score`, for one text or many."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": " blue", "context": "The sky is"},
                {"pairs": [["The keys are here.", "The keys is here."]], "words": True},
            ]
        }
    )
    one_of = ("text", "texts", "pairs")

    text: str | None = Field(None, description="The text to score.")
    texts: Annotated[list[str], Field(fail_fast=True)] | None = Field(
        None, min_length=1, description="Many texts in place of `text`."
    )
    pairs: (
        Annotated[
            list[Annotated[list[str], Field(min_length=2, max_length=2)]], Field(fail_fast=True)
        ]
        | None
    ) = Field(None, min_length=1, description="Pairs of texts to compare, in place of `text`.")
    context: PromptBody = Field("", description="What stands before each text; it has no score.")
    words: bool = Field(False, description="Give the surprisal of each word, too.")
    window: Positive | None = Field(
        None, description="Tokens to evaluate together. Default: the model's context."
    )
    stride: Positive | None = Field(
        None, description="Tokens that each window after the first scores. Default: half a window."
    )

    def all_texts(self) -> list[str]:
        """Return the texts; those of pairs one after the other."""
        if self.text is not None:
            return [self.text]
        return self.texts or [text for pair in self.pairs or () for text in pair]


@router.post("/v1/score", response_model=ScoreAnswer)
async def score(body: ScoreBody, calls: Calls) -> JsonAnswer:
    """Return the log-probability of texts, of their tokens, and on request of their words.

    The answer has one result for each text, as `TextScore.to_dict` writes it; for pairs, as
    `PairScore.to_dict` does.
    """
    texts = body.all_texts()
    check_count("texts", len(texts), calls.state.config.limits, "texts")
    model = await calls.model(body.model)
    _check_work(body, texts, model)
    options: dict[str, Any] = {"context": as_prompt(body.context), "words": body.words}
    if body.pairs is None:
        options |= {"window": body.window, "stride": body.stride}
    elif body.window is not None or body.stride is not None:
        raise RequestError("windows are not for pairs; leave out window and stride")
    scores = await make_named_calls(
        calls, model, "text", [partial(model.calls.score, text, **options) for text in texts]
    )
    return await json_answer(
        lambda: {
            "object": "scores",
            "model": model.name,
            "results": _results(scores, in_pairs=body.pairs is not None),
            "usage": usage_of(result.tokens_evaluated for result in scores),
        },
        entries=sum(len(result.tokens) for result in scores),
    )


def _results(scores: Sequence[TextScore], *, in_pairs: bool) -> list[dict[str, Any]]:
    if not in_pairs:
        return [result.to_dict() for result in scores]
    return [
        PairScore(first=first, second=second).to_dict()
        for first, second in zip(scores[::2], scores[1::2], strict=True)
    ]


def _check_work(body: ScoreBody, texts: list[str], model: ServedModel) -> None:
    """Refuse texts that would take the model hours: unlike prompts, they may exceed its context."""
    window = body.window or model.model.info.context_length or 0
    overlap = max(1, window // body.stride) if body.stride else 2
    # Half of a surrogate pair is an error of the text, which its call describes.
    size = sum(len(text.encode("utf-8", errors="replace")) for text in texts) * overlap
    if size > MAX_BYTES:
        raise RequestError(
            f"the texts, with the windows that overlap, have {size:,} bytes; this server takes "
            f"{MAX_BYTES:,}",
            parameter="texts",
        )
