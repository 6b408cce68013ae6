"""Which parameter a server refuses, if it says so only in words.

OpenAI names the parameter in a field of the error. Many other servers name it in the message.
"""

from __future__ import annotations

import re
from collections.abc import Collection

#: Parameters that may be left out: the plugin does without, or the log says what is missing.
#: Never those that change the answer without a trace, such as `stop` or `logit_bias`.
OMITTABLE = (
    *("stream_options", "seed", "n", "logprobs", "top_logprobs"),
    *("max_tokens", "max_completion_tokens", "max_output_tokens"),
)
_REFUSAL = re.compile(
    r"not (be )?(support|recogni[sz]|permit|allow|implement|accept|a valid|available)"
    r"|n't (support|recogni[sz]|accept|allow|have)|unsupported|unrecogni[sz]ed|unknown|unexpected"
    r"|does not (support|recogni[sz]e|accept|allow|have|take)|extra (input|field|property)"
    r"|additional (property|properties)|invalid (field|param|argument|property|key)|only supports?",
    re.IGNORECASE,
)
#: What servers with status 500 say of a request that they do not support. Other words, such as
#: "unknown error", are those of servers that failed.
_CLEAR_REFUSAL = re.compile(
    r"\bnot (yet )?(be )?(support|implement)|n't (yet )?support|\bunsupported\b|NotImplemented",
    re.I,
)
#: A number of tokens that is too large is no refusal of the parameter.
_LENGTH_REFUSAL = re.compile(
    r"unsupported (field|param|argument|property|key)|unrecogni[sz]ed|unknown|unexpected|extra"
    r"|not (permitted|recogni[sz]ed|a valid)|use ['\"`]?max_",
    re.IGNORECASE,
)
#: "n" alone is a word of many messages.
_N = re.compile(r"""(?<![\w.])(["'`])n\1|\bn ?(=|==|>|must|is|to) ?""")


def is_refusal(message: str) -> bool:
    """Whether a server that failed says that it never answers such a request.

    llama-cpp-python says so with status 500.
    """
    return _CLEAR_REFUSAL.search(message) is not None


def refused_parameter(message: str, parameter: object, sent: Collection[str]) -> str | None:
    """Return the parameter that a refusal names; None if it names none that may be left out.

    :param message: the server's message.
    :param parameter: what the error says in its own field for it, if anything.
    :param sent: the names of the parameters in the request.
    """
    names = [name for name in OMITTABLE if name in sent and _refusal_of(name).search(message)]
    if parameter:
        return str(parameter) if parameter in names else None
    places = {name: place for name in names if (place := _find(name, message)) >= 0}
    # The first one is what the sentence is about. The others may be what to use instead.
    return min(places, key=places.__getitem__, default=None)


def _refusal_of(name: str) -> re.Pattern[str]:
    return _LENGTH_REFUSAL if name.startswith("max_") else _REFUSAL


def _find(name: str, message: str) -> int:
    pattern = _N if name == "n" else re.compile(rf"(?<![\w.]){name}(?!\w)")
    match = pattern.search(message)
    return -1 if match is None else match.start()
