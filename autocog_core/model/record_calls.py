"""The public call `record`: typed values with a probability for every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

from autocog_core.automaton.actions import Action, Complete, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError
from autocog_core.evaluation.run import prepare_evaluation, run_to_end
from autocog_core.hooks.client import BackendClient
from autocog_core.model.calls import ChoiceCalls
from autocog_core.records.place import Limits
from autocog_core.records.record import compile_record
from autocog_core.records.result import TypedRecord, read_record
from autocog_core.records.styles import JsonStyle, Style, TemplateStyle
from autocog_core.types.prompt import Message, Prompt, PromptLike
from autocog_core.types.thought_tree import ThoughtPath

Instance = TypeVar("Instance")


class RecordCalls(ChoiceCalls):
    """Calls of models that write records."""

    @overload
    def record(
        self,
        prompt: PromptLike | Sequence[Message] | None = None,
        schema: type[Instance] = ...,
        *,
        messages: Sequence[Message] | None = None,
        style: str | Style = "json",
        beams: int = 1,
        alternatives: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens_per_text: int = 64,
        max_items: int = 20,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> TypedRecord[Instance]: ...

    @overload
    def record(
        self,
        prompt: PromptLike | Sequence[Message] | None = None,
        schema: Any = ...,
        *,
        messages: Sequence[Message] | None = None,
        style: str | Style = "json",
        beams: int = 1,
        alternatives: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens_per_text: int = 64,
        max_items: int = 20,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> TypedRecord[Any]: ...

    def record(
        self,
        prompt: PromptLike | Sequence[Message] | None = None,
        schema: Any = None,
        *,
        messages: Sequence[Message] | None = None,
        style: str | Style = "json",
        beams: int = 1,
        alternatives: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens_per_text: int = 64,
        max_items: int = 20,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> TypedRecord[Any]:
        r"""Let the model write a record, and return it with the probability of each field.

        Braces, keys and commas are fixed text. Enums, booleans, null, small integers, optional
        keys, branches and the number of items are choices; strings and numbers are constrained
        completions. The model sees the prompt, not the schema: say in the prompt what you want.

        :param prompt: the text before the record, or the messages of a chat.
        :param schema: a pydantic model, a dataclass, a TypedDict, or a JSON Schema.
        :param messages: the messages of a chat, in place of `prompt`.
        :param style: "json"; a template such as "Name: {name}\nAge: {age}\n"; or a `JsonStyle`.
        :param beams: beams of each text.
        :param alternatives: maximum number of alternatives of a field; None for all.
        :param temperature: 0 takes the best beam of each text (default); above, texts are sampled.
            Choices always take the likeliest.
        :param seed: random seed of sampling.
        :param max_tokens_per_text: maximum number of tokens of a string or number.
        :param max_items: maximum number of items of a list without `maxItems`.
        :param template_arguments: variables of the chat template.
        :raises InputError: with the path in the schema, for what is not supported or allows no
            value; if a text does not end within its tokens; if a validator refuses the value.
        :raises CapabilityError: if the model has no token distributions, or no chat template.
        """
        if schema is None:
            raise InputError(
                "is missing", where="schema", hint="a pydantic model, a dataclass or a JSON Schema"
            )
        if isinstance(prompt, list | tuple) and messages is None:
            prompt, messages = None, prompt
        context = self._call_context()
        whole = context.prompt(prompt, messages, template_arguments)  # type: ignore[arg-type]
        limits = Limits(max_items=max_items, max_tokens_per_text=max_tokens_per_text)
        compiled = compile_record(schema, _style(style), limits=limits)
        actions: list[Action] = []
        for action in compiled.actions:
            if isinstance(action, Complete):
                # The likeliest values, not those with the best mean: these are long repetitions.
                action = replace(action, beams=beams, length_penalty=0.0)
                if temperature:
                    action = replace(action, samples=1, temperature=temperature, seed=seed)
            actions.append(action)
        path = _run(context.client, whole, actions, digest=compiled.digest)
        return read_record(compiled, path, alternatives)


def _style(style: str | Style) -> Style:
    """Return a style; a text is "json" or a template.

    :raises InputError: for a text without a field.
    """
    if not isinstance(style, str):
        return style
    if style == "json":
        return JsonStyle()
    if "{" not in style:
        raise InputError(
            f"{style!r} is no style", where="style", hint='"json", or a template with {fields}'
        )
    return TemplateStyle(template=style)


def _run(
    client: BackendClient, prompt: Prompt, actions: Sequence[Action], *, digest: str
) -> ThoughtPath:
    """Return the best path of a record after a prompt."""
    entry = (actions[0].uid,) if actions else ()
    first = Text(uid=_prompt_uid(actions), text=prompt, successors=entry)
    graph = AutomatonGraph([first, *actions])
    evaluation = prepare_evaluation(graph, None, {None: client}, digest=digest)
    tree = run_to_end(evaluation)
    if not tree.complete and any(node.pruned_by == "incomplete" for node in tree.nodes):
        uid = next(node.uid for node in tree.nodes if node.pruned_by == "incomplete")
        raise InputError(
            f"the text of {uid!r} did not end within its tokens",
            where="record",
            hint="a larger max_tokens_per_text, a maxLength in the schema, or a clearer prompt",
        )
    return tree.best()


def _prompt_uid(actions: Sequence[Action]) -> str:
    """Return a uid that no action has."""
    uid = "prompt"
    while any(action.uid == uid for action in actions):
        uid += "_"
    return uid
