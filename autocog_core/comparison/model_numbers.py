"""The numbers of one model in a comparison."""

from __future__ import annotations

import math

from autocog_core.comparison.measure import Measurement
from autocog_core.comparison.works import AnyWork
from autocog_core.hooks.client import BackendClient
from autocog_core.types.comparison_parts import ComparedModel


def describe_model(client: BackendClient, measurement: Measurement, work: AnyWork) -> ComparedModel:
    """Return a model's description, its speed, and the perplexity of texts."""
    perplexity = bits = None
    if work.kind == "texts":
        perplexity, bits = _text_numbers(client, measurement)
    info = client.info
    return ComparedModel(
        name=client.model_name,
        engine=info.name,
        details=dict(info.details),
        calls=measurement.calls,
        seconds=measurement.seconds,
        tokens=measurement.tokens,
        perplexity=perplexity,
        bits_per_byte=bits,
    )


def _text_numbers(
    client: BackendClient, measurement: Measurement
) -> tuple[float | None, float | None]:
    """Return the perplexity of all texts, and their bits per byte."""
    logprobs = []
    size = 0
    for result in measurement.results.values():
        for decision in result.decisions.values():
            for candidate in decision.candidates:
                for token, logprob in zip(candidate.tokens, candidate.logprobs, strict=True):
                    if not math.isnan(logprob):
                        logprobs.append(logprob)
                        size += client.token_size(token)
    if not logprobs:
        return None, None
    total = -math.fsum(logprobs)
    try:
        perplexity = math.exp(total / len(logprobs))
    except OverflowError:
        perplexity = math.inf
    return perplexity, total / math.log(2) / size if size else None
