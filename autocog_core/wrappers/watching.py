"""Hooks that only watch: a wrapper with the method `around` gets them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from autocog_core.hooks.specs import hookimpl
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Message
from autocog_core.types.token_tree import TreeQuery

#: What `around` returns: it yields once, and receives the answer. What it returns is ignored.
Watching = Generator[None, Any, None]
_Watched = Generator[None, Any, Any]

#: An engine runs whole automata only if no wrapper must see its evaluations. If a wrapper had this
#: hook, it would see one call in place of all of them.
UNWATCHED_HOOKS = frozenset({"run_automata"})


def add_watching_hooks(wrapper: type[Any]) -> None:
    """Give a wrapper an implementation of each hook that it does not implement itself.

    :param wrapper: a class with the method `around`.
    """
    for name, function in vars(_WatchingHooks).items():
        if not name.startswith("_") and not hasattr(wrapper, name):
            setattr(wrapper, name, function)


def _watch(wrapper: Any, hook: str, **arguments: Any) -> _Watched:
    """Call `around`, and return the answer of the call whatever it does."""
    watching = wrapper.around(hook, arguments)
    if not _runs_on(watching, None):
        raise RuntimeError("`around` returns before its `yield`")
    try:
        answer = yield
    except BaseException as error:
        _throw_into(watching, error)
        raise
    if _runs_on(watching, answer):
        raise RuntimeError("`around` yields a second time")
    return answer


def _runs_on(watching: Watching, value: Any) -> bool:
    """Return whether a generator yields after it got a value, and does not end."""
    try:
        watching.send(value)
    except StopIteration:
        return False
    return True


def _throw_into(watching: Watching, error: BaseException) -> None:
    """Let a generator see the error of a call, which it cannot swallow."""
    try:
        watching.throw(error)
    except StopIteration:
        return
    except BaseException as raised:
        if raised is not error:
            raise


class _WatchingHooks:
    """The hooks. Each has its parameters by name, because pluggy reads them."""

    @hookimpl(wrapper=True)
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> _Watched:
        """Watch the call."""
        arguments = {"texts": texts, "at_start": at_start, "parse_special": parse_special}
        return (yield from _watch(self, "tokenize", **arguments))

    @hookimpl(wrapper=True)
    def detokenize(self, tokens: Sequence[int]) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "detokenize", tokens=tokens))

    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Sequence[int]) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "greedy_impl", tokens=tokens))

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "greedy_tree_impl", queries=queries))

    @hookimpl(wrapper=True)
    def complete(self, request: CompletionRequest) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "complete", request=request))

    @hookimpl(wrapper=True)
    def choose(self, request: ChoiceRequest) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "choose", request=request))

    @hookimpl(wrapper=True)
    def choose_many(self, requests: Sequence[ChoiceRequest]) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "choose_many", requests=requests))

    @hookimpl(wrapper=True)
    def vocabulary(self) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "vocabulary"))

    @hookimpl(wrapper=True)
    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> _Watched:
        """Watch the call."""
        arguments = {
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            "template_arguments": template_arguments,
        }
        return (yield from _watch(self, "chat_prompt", **arguments))

    @hookimpl(wrapper=True)
    def describe(self) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "describe"))

    @hookimpl(wrapper=True)
    def usage(self) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "usage"))

    @hookimpl(wrapper=True)
    def close(self) -> _Watched:
        """Watch the call."""
        return (yield from _watch(self, "close"))
