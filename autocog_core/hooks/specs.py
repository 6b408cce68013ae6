"""The contract of a backend: empty typed functions; their docstrings are the specification.

All are `firstresult`: the first answer that is not None counts. A backend implements what it can
and leaves the rest out; core's own implementations (`autocog_core.model.core_hooks`) come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pluggy
from numpy.typing import NDArray

from autocog_core.types.backend_info import BackendInfo, Usage
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores

if TYPE_CHECKING:
    from autocog_core.errors import AutocogError
    from autocog_core.hooks.automaton_run import AutomatonRun, Declined
    from autocog_core.types.thought_tree import ThoughtTree


PROJECT_NAME: Final = "autocog"


#: Version of the hook contract in `autocog_core.hooks.specs`. A backend declares the one it was
#: written for as `contract`; another number is refused at load, with both versions in the message.
CONTRACT_VERSION: Final = 1


hookspec: Final = pluggy.HookspecMarker(PROJECT_NAME)


hookimpl: Final = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec(firstresult=True)
def tokenize(  # type: ignore[empty-body]
    texts: Sequence[str], at_start: bool, parse_special: bool
) -> list[list[int]]:
    """Token ids of each text, without BOS.

    :param at_start: whether the text begins a sequence; False continues other text, so that a
        tokenizer which puts a blank before the first word must not do it.
    :param parse_special: whether the surfaces of special tokens become these tokens; if False
        they are ordinary text.
    """


@hookspec(firstresult=True)
def detokenize(tokens: Sequence[int]) -> bytes:  # type: ignore[empty-body]
    """The bytes that the ids stand for; special tokens stand for none.

    detokenize(a + b) = detokenize(a) + detokenize(b), also where a character is split.
    """


@hookspec(firstresult=True)
def greedy_impl(tokens: Sequence[int]) -> NDArray[np.float32]:  # type: ignore[empty-body]
    """float32 (V,): natural log-probability, <= 0, of every token after `tokens` (at least one).

    The row is the model's own softmax, read at the *last* position, before any mask or temperature.
    """


@hookspec(firstresult=True)
def complete(request: CompletionRequest) -> Completion:  # type: ignore[empty-body]
    """Continue `request.prompt`; an option that the engine cannot honour is refused, not ignored.

    Stop strings match on bytes, wherever tokens begin or end.
    """


@hookspec(firstresult=True)
def choose(request: ChoiceRequest) -> ChoiceScores | None:
    """Score every choice; None leaves it to core's token choice tree."""


@hookspec(firstresult=True)
def greedy_tree_impl(queries: Sequence[TreeQuery]) -> list[TreeScores]:  # type: ignore[empty-body]
    """Score several token trees, in as few model calls as the engine can; one answer a query."""


@hookspec(firstresult=True)
def run_automata(
    runs: Sequence[AutomatonRun],
) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
    """Run automata inside the engine: what each of them comes to, as core's evaluator has it.

    `Declined` leaves all of them to core's evaluator, and says why; None does so without a word. An
    error is that of its run; what would meet all of them is raised. Unlike other hooks it is called
    without the model's lock, and never again after an error: an engine that serves one call at a
    time takes the lock itself, and lets it go now and then.
    """


@hookspec(firstresult=True)
def vocabulary() -> Sequence[bytes]:  # type: ignore[empty-body]
    """The bytes of every token, V of them, as `detokenize` gives them one by one."""


@hookspec(firstresult=True)
def chat_prompt(  # type: ignore[empty-body]
    messages: Sequence[Message], add_generation_prompt: bool
) -> Prompt:
    """The model's chat template around `messages`, each with a role and a content.

    Trusted template pieces stand around untrusted content, so that a content which says
    "<|im_end|>" does not end the turn.
    """


@hookspec(firstresult=True)
def describe() -> BackendInfo:  # type: ignore[empty-body]
    """What the backend is; constant for its lifetime."""


@hookspec(firstresult=True)
def usage() -> Usage | None:
    """What this engine was asked for so far; None where it does not count."""


@hookspec(firstresult=True)
def close() -> None:
    """Release what this backend holds. Other wrappers of the same engine go on working."""
