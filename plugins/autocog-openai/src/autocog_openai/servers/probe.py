"""What a server can do, found out by a handful of one-token requests on first use."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from autocog_core import (
    AutocogError,
    CapabilityError,
    ConfigError,
    ContextOverflowError,
    EngineError,
    InputError,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import (
    ConnectionFailedError,
    MalformedAnswerError,
    RateLimitError,
    RequestTimeoutError,
)
from autocog_openai.connection.server_capabilities import Echo, Facts, keep, kept
from autocog_openai.routes.chat import ChatRoute, told, told_of
from autocog_openai.routes.completions import listing_of
from autocog_openai.servers import llama_server, sglang, vllm
from autocog_openai.tokenizers.load import FileTokenizer, Tokenizer, tokenizer_for

#: Two ways of asking for the same number may differ by this much: servers batch, and round.
NEAR = 0.1
#: This share of a listing is there: equal texts may hide one another.
MOST = 0.9
TEXT = "The quick brown fox jumps over the lazy"
OWNERS = {"llamacpp": "llama-server", "vllm": "vllm", "sglang": "sglang", "openai": "openai"}
FIND_OUT = {
    "llama-server": llama_server.find_out,
    "vllm": vllm.find_out,
    "sglang": sglang.find_out,
}
#: Where a server says which build it is and how it was started, and what of that stays the same.
BUILDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "llama-server": ("/props", ("build_info", "model_path", "total_slots", "chat_template")),
    "vllm": ("/version", ("version",)),
    "sglang": ("/server_info", ("version", "model_path", "dtype", "quantization")),
}
Result = TypeVar("Result")


def facts_of(connection: Connection) -> Facts:
    """What the model's server offers: from the cache folder, where the model is still the same.

    :raises AutocogError: if the server cannot be reached, or does not have the model.
    """
    options = connection.options
    entry = _entry(connection)
    server = options.server if options.server != "auto" else _kind(connection, entry)
    stable = {name: value for name, value in entry.items() if name not in ("created", "permission")}
    build = _build(connection, server)
    identity = json.dumps([server, stable, build], sort_keys=True, default=str)
    asked = (connection.base_url, options.model, server, options.tokenizer, options.api)
    key = " ".join(map(str, asked))
    found = None if options.reprobe else kept(key, identity)
    if found is None:
        failures = connection.failures
        found = _find_out(connection, server, entry, identity)
        # Where nothing was found, something is wrong for now, or with base_url.
        if found.completions or found.chat or found.decisions:
            keep(key, found, doubtful=connection.failures > failures)
    return found


def _build(connection: Connection, server: str) -> Mapping[str, Any]:
    if server not in BUILDS:
        return {}
    route, names = BUILDS[server]
    told = attempt(lambda: connection.get(route))
    return {name: told.get(name) for name in names} if isinstance(told, dict) else {}


def _entry(connection: Connection) -> Mapping[str, Any]:
    """What the server lists about the model; nothing where it lists no models."""
    model = connection.options.model
    listed = attempt(lambda: connection.get("v1/models"))
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        return {}
    entries = [entry for entry in entries if isinstance(entry, dict)]
    for entry in entries:
        if model in (entry.get("id"), entry.get("root"), *(entry.get("aliases") or ())):
            return dict(entry)
    if len(entries) == 1 and entries[0].get("owned_by") in ("llamacpp", "me"):
        # These serve one model, under whatever name it is asked for.
        return dict(entries[0])
    names = ", ".join(str(entry.get("id")) for entry in entries[:20])
    raise ConfigError(
        f"the server has no model {model!r}", where=connection.where, hint=f"it has: {names}"
    )


def _kind(connection: Connection, entry: Mapping[str, Any]) -> str:
    if urlsplit(connection.base_url).hostname == "api.openai.com":
        return "openai"
    return OWNERS.get(str(entry.get("owned_by")), "generic")


def _find_out(
    connection: Connection, server: str, entry: Mapping[str, Any], identity: str
) -> Facts:
    model = connection.options.model
    known: dict[str, Any] = {"server": server, "model": model, "identity": identity}
    if server in FIND_OUT:
        try:
            known |= FIND_OUT[server](connection, model, entry)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineError(
                f"it does not answer like {server} ({error!r})",
                where=connection.where,
                hint='give server = "generic", or another kind',
            ) from error
    elif server == "generic":
        extras = attempt(lambda: connection.post("/extras/tokenize", {"input": "a"}))
        if isinstance(extras, dict) and "tokens" in extras:
            known["tokenize"] = "llama-cpp-python"
    tokenizer = _tokenizer(connection, Facts(**known))
    if server == "sglang" and "tokenize" not in known and isinstance(tokenizer, FileTokenizer):
        known |= {"bos": tokenizer.bos, "adds_bos": tokenizer.bos is not None}
    if server not in ("llama-server", "sglang"):
        known |= _completions(connection, Facts(**known), tokenizer)
    known |= _chat(connection, Facts(**known), tokenizer)
    if server == "openai":
        body = {
            "model": model,
            "input": "2 + 2 = 5",
            "questions": [
                {
                    "type": "choice",
                    "instructions": "Is it right?",
                    "choices": [{"value": "yes"}, {"value": "no"}],
                }
            ],
        }
        known["decisions"] = attempt(lambda: connection.post("v1/decisions", body)) is not None
    return Facts(**known)


def _tokenizer(connection: Connection, facts: Facts) -> Tokenizer | None:
    """None where neither the server nor the options tell one: much works without."""
    if connection.options.tokenizer is None and not facts.tokenize:
        try:
            return tokenizer_for(connection, facts)
        except ConfigError:
            return None
    return tokenizer_for(connection, facts)


def _completions(
    connection: Connection, facts: Facts, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """Of the completions route: whether it is there, what it lists, and what its echo is worth."""
    body: dict[str, Any] = {
        "model": facts.model,
        "prompt": TEXT,
        "max_tokens": 1,
        "temperature": 0.0,
    }

    def ask(**more: Any) -> Any:
        return attempt(lambda: connection.post("v1/completions", {**body, **more}))

    if not isinstance(ask(), dict):
        return {"completions": False}
    found: dict[str, Any] = {"completions": True}
    listed = 0
    # By ids, where the server can: equal texts would hide one another.
    by_ids = {"return_tokens_as_token_ids": True} if facts.server == "vllm" else {}
    for count in (5, 20, 1000):
        length = len(listing_of(ask(logprobs=count, **by_ids)))
        listed = max(listed, length)
        if length < MOST * count:
            break
    # One that lists about a thousand lists them all.
    found["listed"] = -1 if listed >= MOST * 1000 else listed
    if tokenizer is not None and not facts.token_ids:
        ids = tokenizer.tokenize(TEXT, parse_special=False)
        found["token_ids"] = _agree(
            listing_of(ask(prompt=ids, logprobs=5)), listing_of(ask(logprobs=5))
        )
    found["echo"] = _echo(ask) if listed else "none"
    return found


def _echo(ask: Callable[..., Any]) -> Echo:
    """Whether the numbers of an echoed prompt are those of the chain rule.

    A token's log-probability must be that which the prompt before it lists for it.
    """
    answer = ask(prompt=TEXT, echo=True, logprobs=5)
    try:
        logprobs = answer["choices"][0]["logprobs"]
        names, values = logprobs["tokens"], logprobs["token_logprobs"]
    except (KeyError, IndexError, TypeError):
        return "none"
    # The last of them, written anew, is no part of the prompt.
    text, place = "", 0
    while place < len(names) and len(text) < len(TEXT):
        text += str(names[place])
        place += 1
    if text != TEXT or place < 3:
        return "none"
    known = [number for number in range(2, place) if values[number] is not None]
    checked = 0
    # Those that it calls likeliest are listed, if what it says is right.
    for last in sorted(known, key=lambda number: -float(values[number]))[:4]:
        listing = listing_of(ask(prompt="".join(map(str, names[:last])), logprobs=5))
        raw, value = str(names[last]).encode("utf-8"), float(values[last])
        if raw in listing:
            if abs(listing[raw] - value) > NEAR:
                return "wrong"
            checked += 1
        elif listing and value > min(listing.values()) + NEAR:
            return "wrong"
    return "right" if checked else "none"


def _agree(one: Mapping[Any, float], other: Mapping[Any, float]) -> bool:
    """Whether two listings are of one position: most tokens are in both, with the same numbers."""
    shared = one.keys() & other.keys()
    return 2 * len(shared) > max(len(one), len(other)) and all(
        math.isclose(one[name], other[name], abs_tol=NEAR) for name in shared
    )


def _chat(connection: Connection, facts: Facts, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Of the chat route: what it lists, and whether an answer can be begun or steered."""
    route = ChatRoute(facts, lambda prompt: [])
    question = [{"role": "user", "content": TEXT}]
    refused: set[str] = set()

    def ask(begun: str = "", **more: Any) -> Any:
        messages = [*question, *([{"role": "assistant", "content": begun}] if begun else ())]
        body = route.asked(messages, **more)
        return attempt(lambda: connection.post(route.path, body))

    def length(count: int) -> dict[str, Any]:
        return dict(route.limit(count))

    if not isinstance(ask(**length(1)), dict):
        return {"chat": False}
    found: dict[str, Any] = {"chat": True}
    if ask(**length(1), temperature=0) is None:
        refused.add("temperature")
    cold: dict[str, Any] = {} if refused else {"temperature": 0}
    first: Any = None
    for count in (20, 5):
        first = ask(**length(2), **cold, logprobs=True, top_logprobs=count)
        listed = _listed(first)
        if listed:
            found["chat_listed"] = listed
            break
    else:
        refused.add("logprobs")
    steps = _steps(first)
    listed = found.get("chat_listed", 0)
    if len(steps) == 2 and listed:
        top = {**cold, "logprobs": True, "top_logprobs": listed}
        continued = _steps(ask(steps[0][0].decode(errors="replace"), **length(1), **top))
        found["prefill"] = bool(continued) and _agree(steps[1][1], continued[0][1])
        found["steering"] = _steers(
            steps[0][1], tokenizer, lambda more: _steps(ask(**length(1), **top, **more))
        )
    found["structured"] = _structured(facts, ask)
    return {**found, "refused": tuple(sorted(refused))}


def _listed(answer: Any) -> int:
    """How many tokens are listed at the first position."""
    try:
        return len(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"])
    except (KeyError, IndexError, TypeError):
        return 0


#: The bytes of each token that was written, and the listing beside it.
Steps = list[tuple[bytes, dict[bytes, float]]]


def _steps(answer: Any) -> Steps:
    try:
        choice = answer["choices"][0]
        raws = [each.raw for each in told_of(choice)]
        listings = [
            {each.raw: each.logprob for each in map(told, entry.get("top_logprobs") or ())}
            for entry in choice["logprobs"]["content"]
        ]
    except (KeyError, IndexError, TypeError, AttributeError):
        return []
    return list(zip(raws, listings, strict=True))


def _steers(
    listing: Mapping[bytes, float],
    tokenizer: Tokenizer | None,
    ask: Callable[[dict[str, Any]], Steps],
) -> bool:
    """Whether a bias makes a token certain, and what is told of it stays what it was."""
    if tokenizer is None:
        return False
    for raw, logprob in sorted(listing.items(), key=lambda each: -each[1])[1:]:
        try:
            ids = tokenizer.tokenize(raw.decode("utf-8"), parse_special=False)
        except UnicodeDecodeError:
            continue
        if len(ids) != 1 or tokenizer.surface(ids[0]) != raw:
            continue
        steps = ask({"logit_bias": {str(ids[0]): 100}})
        if not steps or steps[0][0] != raw:
            return False
        told_then = steps[0][1].get(raw, math.inf)
        return abs(told_then - logprob) < NEAR
    return False


def _structured(facts: Facts, ask: Callable[..., Any]) -> bool:
    if facts.server == "vllm":
        answer = ask(structured_outputs={"choice": ["yes", "no"]}, max_tokens=8)
    else:
        schema = {
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["choice"],
            "additionalProperties": False,
        }
        held = {"name": "choice", "strict": True, "schema": schema}
        limit = {} if facts.server == "openai" else {"max_tokens": 32}
        answer = ask(response_format={"type": "json_schema", "json_schema": held}, **limit)
    try:
        text = answer["choices"][0]["message"]["content"]
        picked = text if facts.server == "vllm" else json.loads(text)["choice"]
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return picked in ("yes", "no")


def attempt(call: Callable[[], Result]) -> Result | None:
    """What a request answers; None where the server does not know it, or fails at it."""
    try:
        try:
            return call()
        except MalformedAnswerError:
            # A page of a proxy's says it again, an answer that was damaged on its way does not.
            return call()
    except (RateLimitError, RequestTimeoutError, ConnectionFailedError):
        # What is wrong for now is nothing that the server cannot do.
        raise
    except ConfigError as error:
        if error.message.startswith(("401", "403")):
            raise
        return None
    except (InputError, ContextOverflowError, CapabilityError):
        return None
    except EngineError as error:
        if error.message.startswith(("502", "503", "504")):
            raise
        return None
    except AutocogError:
        raise
