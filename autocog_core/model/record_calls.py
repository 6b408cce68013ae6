"""The public call `record`: typed values with a probability for every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from autocog_core.automaton.actions import Action, Complete, Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.messages import as_chat_messages
from autocog_core.errors import CapabilityError, InputError
from autocog_core.hooks.automaton_run import Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.model.choice_calls import ChoiceCalls
from autocog_core.types.prompt import Message, PromptLike, TextPiece

# Most models write no records: their modules are imported by a call.
if TYPE_CHECKING:
    from autocog_core.evaluation.evaluation import Strategy
    from autocog_core.records.result import TypedRecord
    from autocog_core.records.styles import Style
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
        budget: Budget | None = None,
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
        budget: Budget | None = None,
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
        budget: Budget | None = None,
    ) -> TypedRecord[Any]:
        r"""Let the model write a record, and return it with the probability of each field.

        Braces, keys and commas are fixed text. Enums, booleans, null, small integers, optional
        keys, branches and the number of items are choices; strings and numbers are constrained
        completions. The model sees the prompt, not the schema: say in the prompt what you want.

        A server without token distributions writes the record as one text, if it serves JSON
        Schemas itself (structured outputs). The record then has no probabilities, and says so:
        `prob` is None, and `exact` is false.

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
        :param budget: limits of the run that writes the record.
        :raises InputError: with the path in the schema, for what is not supported or allows no
            value; if a text does not end within its tokens, or the record within its budget; if a
            validator refuses the value.
        :raises CapabilityError: if the model has neither token distributions nor structured
            outputs, or no chat template; for a template or beams without token distributions.
        """
        if schema is None:
            raise InputError(
                "is missing", where="schema", hint="a pydantic model, a dataclass or a JSON Schema"
            )
        if isinstance(prompt, list | tuple) and messages is None:
            prompt, messages = None, prompt
        context = self._call_context()
        whole = context.prompt(prompt, messages, template_arguments)  # type: ignore[arg-type]
        from autocog_core.records.place import Limits
        from autocog_core.records.record import compile_document, compile_record
        from autocog_core.records.result import read_record

        limits = Limits(max_items=max_items, max_tokens_per_text=max_tokens_per_text)
        is_document = not context.client.has_masks()
        if is_document:
            _require_documents(context.client, style, beams)
            compiled = compile_document(schema, limits=limits)
        else:
            compiled = compile_record(schema, _style(style), limits=limits)
        actions: list[Action] = []
        for action in compiled.actions:
            if isinstance(action, Complete):
                # The likeliest values, not those with the best mean: these are long repetitions.
                action = replace(action, beams=beams, length_penalty=0.0)
                if temperature:
                    action = replace(action, samples=1, temperature=temperature, seed=seed)
            actions.append(action)
        strategy: Strategy | None = "text" if is_document else None
        uid, entry = _prompt_uid(actions), tuple(action.uid for action in actions[:1])
        first: Action = Text(uid=uid, text=whole, successors=entry)
        if messages is not None and not all(isinstance(each, TextPiece) for each in whole.pieces):
            # A server rendered the messages as token ids, which no text of an automaton has.
            first = Messages(
                uid=uid,
                messages=as_chat_messages(messages),
                template_arguments=template_arguments,
                successors=entry,
            )
        path = _run(context.client, [first, *actions], strategy, budget, digest=compiled.digest)
        return read_record(compiled, path, alternatives)


def _require_documents(client: BackendClient, style: str | Style, beams: int) -> None:
    """Check that a backend without token distributions can write a record.

    :raises CapabilityError: if it does not serve JSON Schemas, or for options that it cannot serve.
    """
    options = {"style": style != "json", "beams": beams > 1}
    missing = " and ".join(name for name, is_set in options.items() if is_set)
    if missing:
        message = f"{missing} of records needs token distributions and a vocabulary"
        hint = "leave it out: the record is then one text of the server, without probabilities"
        raise CapabilityError(message, where=client.model_name, hint=hint)
    if "json_schema" not in client.info.constraints:
        raise CapabilityError(
            "records need token distributions and a vocabulary, or structured outputs",
            where=client.model_name,
            hint="take another backend or server",
        )


def _style(style: str | Style) -> Style:
    """Return a style; a text is "json" or a template.

    :raises InputError: for a text without a field.
    """
    from autocog_core.records.styles import JsonStyle, TemplateStyle

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
    client: BackendClient,
    actions: Sequence[Action],
    strategy: Strategy | None,
    budget: Budget | None,
    *,
    digest: str,
) -> ThoughtPath:
    """Return the best path of a record after its prompt."""
    from autocog_core.evaluation.run import prepare_evaluation, run_to_end

    graph = AutomatonGraph(actions)
    evaluation = prepare_evaluation(
        graph, None, {None: client}, digest=digest, strategy=strategy, budget=budget
    )
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
