"""The page of a completion: its tokens in colors, and the other completions of the request."""

from __future__ import annotations

import math
from typing import Any

from autocog_core.html.page import render_page, render_template
from autocog_core.html.tokens import logprob_text, prob_text, view_tokens
from autocog_core.types.completion import Completion
from autocog_core.types.token_texts import Detokenizer


def completion_page(
    completion: Completion, model: Detokenizer | None, title: str = "Completion"
) -> str:
    """Return a page that shows a completion and its alternatives.

    :param completion: the completion.
    :param model: the model, which knows the texts of tokens.
    :param title: the page's title.
    """
    completions = [_view(each, model) for each in (completion, *completion.alternatives)]
    body = render_template("completion.html", title=title, completions=completions)
    return render_page(title, body)


def _view(completion: Completion, model: Detokenizer | None) -> dict[str, Any]:
    tokens = view_tokens(completion.tokens, completion.logprobs, model, completion.allowed or None)
    facts: list[tuple[str, str]] = [("ended by", completion.finish_reason)]
    if completion.stop_string is not None:
        facts.append(("stop string", repr(completion.stop_string)))
    if completion.logprob is not None:
        facts.append(("log-probability", f"{logprob_text(completion.logprob)} nats"))
        facts.append(("probability", prob_text(math.exp(completion.logprob))))
    if completion.constrained_logprob is not None:
        facts.append(("under the constraint", logprob_text(completion.constrained_logprob)))
    if completion.tokens_evaluated is not None:
        facts.append(("tokens evaluated", f"{completion.tokens_evaluated:,}"))
    if completion.reason:
        facts.append(("not exact", completion.reason))
    has_texts = bool(tokens) and all(token.text is not None for token in tokens)
    return {"text": completion.text, "tokens": tokens, "has_texts": has_texts, "facts": facts}
