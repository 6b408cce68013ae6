"""The contract between core and a backend: one empty typed function for each hook.

The docstrings are the specification. A backend implements the hooks that its engine supports, and
marks them with `hookimpl`. Core fills in `choose`, `describe`, `greedy_tree_impl` and `complete`
from the others (`autocog_core.model.core_hooks`). A call of any other missing hook raises
CapabilityError.

All hooks are `firstresult`: pluggy returns the first result that is not None.

Log-probabilities are natural logarithms, at most 0, over the model's whole vocabulary. Masks,
temperature and penalties do not change them. V is the size of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autocog_core.errors import AutocogError
    from autocog_core.hooks.automaton_run import AutomatonRun, Declined
    from autocog_core.types.backend_info import BackendInfo, Usage
    from autocog_core.types.choice import ChoiceRequest, ChoiceScores
    from autocog_core.types.completion import Completion, CompletionRequest
    from autocog_core.types.prompt import Message, Prompt
    from autocog_core.types.thought_tree import ThoughtTree
    from autocog_core.types.token_tree import TreeQuery, TreeScores
    from autocog_core.types.top_choices import TopChoices

PROJECT_NAME: Final = "autocog"

#: Version of this contract. A backend declares the version that it was written for as `contract`.
#: `load` rejects a backend with another version.
CONTRACT_VERSION: Final = 1

hookspec: Final = pluggy.HookspecMarker(PROJECT_NAME)
#: Marks a function as an implementation of the hook of that name.
hookimpl: Final = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec(firstresult=True)
def tokenize(  # type: ignore[empty-body]
    texts: Sequence[str], at_start: bool, parse_special: bool
) -> list[list[int]]:
    """Return the token ids of each text, without BOS.

    :param texts: the texts, independent of each other.
    :param at_start: whether each text begins a sequence. If False, it continues other text, and
        the tokenizer must not add a blank before the first word.
    :param parse_special: whether the text of a special token becomes that token. If False, it
        stays ordinary text.
    :returns: one list of ids for each text.
    """


@hookspec(firstresult=True)
def detokenize(tokens: Sequence[int]) -> bytes:  # type: ignore[empty-body]
    """Return the bytes of the tokens. Special tokens have none.

    `detokenize(a + b) == detokenize(a) + detokenize(b)`, even if this splits a character.

    :param tokens: token ids.
    """


@hookspec(firstresult=True)
def vocabulary() -> Sequence[bytes]:  # type: ignore[empty-body]
    """Return the bytes of every token, in the order of ids: V entries.

    Entry i equals `detokenize([i])`.
    """


@hookspec(firstresult=True)
def greedy_impl(tokens: Sequence[int]) -> NDArray[np.float32]:  # type: ignore[empty-body]
    """Return the log-probability of every token after a sequence: float32 (V,).

    It is the log-softmax of the model's logits at the last position.

    :param tokens: the sequence, at least one id, BOS included.
    """


@hookspec(firstresult=True)
def greedy_tree_impl(queries: Sequence[TreeQuery]) -> list[TreeScores]:  # type: ignore[empty-body]
    """Score token trees, in as few model evaluations as the engine can.

    If a backend has only `greedy_impl`, core calls that once for each inner node.

    :param queries: trees, independent of each other; their prefixes often agree.
    :returns: one answer for each query.
    """


@hookspec(firstresult=True)
def choose(request: ChoiceRequest) -> ChoiceScores | TopChoices | None:
    """Score the choices of a request.

    If `request.top` is set, the backend may return `TopChoices`, without the scores of all choices.
    Otherwise core takes the best of all scores.

    :param request: the prompt and the choices.
    :returns: one score for each choice, or None to use core's token choice tree.
    :raises CapabilityError: for a method, norm or suffix that the engine does not support.
    """


@hookspec(firstresult=True)
def choose_many(requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
    """Score the choices of several requests in one call, if a backend scores choices itself.

    The scores are those of one `choose` for each request. A backend needs this hook only if one
    call is cheaper, such as one request to a server.

    :param requests: the prompts and the choices, without `top`.
    :returns: the scores of each request, or None to call `choose` for each.
    :raises CapabilityError: as `choose`.
    """


@hookspec(firstresult=True)
def complete(request: CompletionRequest) -> Completion | None:
    """Continue a prompt.

    Stop strings match on bytes, at any position inside a token. The backend rejects an option that
    its engine does not support; it never ignores one.

    :param request: the prompt, the limits and the sampling parameters.
    :returns: the completion, or None to let core write it by token distributions.
    :raises CapabilityError: for an option that the engine does not support.
    """


@hookspec(firstresult=True)
def run_automata(
    runs: Sequence[AutomatonRun],
) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
    """Run automata inside the engine, with the results of core's own evaluation.

    Core calls this hook without the model's lock, and does not retry it. An engine that takes one
    call at a time takes the lock itself, and releases it between its evaluations.

    :param runs: runs on this backend's model.
    :returns: the tree or the error of each run, in order; or `Declined` with a reason, or None,
        to leave all runs to core.
    :raises AutocogError: for an error that concerns all runs.
    """


@hookspec(firstresult=True)
def chat_prompt(  # type: ignore[empty-body]
    messages: Sequence[Message],
    add_generation_prompt: bool,
    template_arguments: Mapping[str, Any],
) -> Prompt:
    """Return the prompt that the model's chat template makes of messages.

    Text from the template is trusted, and contents are not. A content that contains "<|im_end|>"
    therefore does not end the turn.

    :param messages: mappings with the keys "role" and "content".
    :param add_generation_prompt: whether to add the header of the assistant's next turn.
    :param template_arguments: further variables of the template, such as `enable_thinking`. If any
        are given, core refuses a backend whose hook does not take this parameter.
    :raises CapabilityError: if the model has no chat template.
    """


@hookspec(firstresult=True)
def describe() -> BackendInfo:  # type: ignore[empty-body]
    """Return the description of the backend. It is constant while the backend is open."""


@hookspec(firstresult=True)
def usage() -> Usage | None:
    """Return the engine's requests and tokens so far; None if it does not count them."""


@hookspec(firstresult=True)
def close() -> None:
    """Release the resources of this backend. Other backends of the same engine stay open."""
