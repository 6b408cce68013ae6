"""What the routes ask for alike, under the names that they share."""

from __future__ import annotations

from typing import Any

from autocog_core import CompletionRequest

#: That OpenAI takes; of more, none is sent: the text is cut here.
MOST_STOPS = 4


def drawing(request: CompletionRequest) -> dict[str, Any]:
    """How tokens are drawn: what is not as it is by default anyway."""
    body: dict[str, Any] = {"temperature": request.temperature, **request.extra}
    if request.top_p < 1:
        body["top_p"] = request.top_p
    if request.top_k > 0:
        body["top_k"] = request.top_k
    if request.min_p > 0:
        body["min_p"] = request.min_p
    return body


def sampling(request: CompletionRequest, server: str) -> dict[str, Any]:
    """How tokens are drawn, how many texts are written, and where they end."""
    body = drawing(request)
    if request.n > 1:
        body["n"] = request.n
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop and (server != "openai" or len(request.stop) <= MOST_STOPS):
        body["stop"] = list(request.stop)
    return body
