"""Renders the chat template of a GGUF file as Transformers does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension
from jinja2.nodes import Node, Scope
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autocog_core import InputError, Message, ModelLoadError, Prompt
from autocog_core.toolkit import render_chat_prompt, stopped_clock


class ChatTemplate:
    """A Jinja template of messages.

    :param source: the text of the template.
    :param tokens: texts of special tokens that it may use, by name (`bos_token` ...).
    :raises ModelLoadError: if the template is not valid.
    """

    def __init__(self, source: str, tokens: dict[str, str]) -> None:
        # The settings of Transformers, for which templates are written.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_GenerationBlock, "jinja2.ext.loopcontrols"],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ModelLoadError(
                f"its chat template is not valid: {error}", hint="convert the model again"
            ) from error
        self._tokens = tokens

    def prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        special: Sequence[str],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Return the template around `messages`, whose contents stay untrusted.

        :param messages: the messages.
        :param add_generation_prompt: whether to add the start of the assistant's message.
        :param special: texts of the special tokens.
        :param template_arguments: further variables of the template.
        :raises InputError: if the template refuses the messages.
        """
        clock = stopped_clock()

        def render(message_dicts: list[dict[str, str]]) -> str:
            try:
                return self._template.render(
                    {
                        "tools": None,
                        "documents": None,
                        **self._tokens,
                        **(template_arguments or {}),
                        "messages": message_dicts,
                        "add_generation_prompt": add_generation_prompt,
                        "strftime_now": clock,
                    }
                )
            # Templates raise a TemplateError to refuse a role or an order of turns. But they are
            # programs, and can fail in other ways.
            except Exception as error:
                raise InputError(
                    f"the model's chat template refuses the messages: {error}", where="messages"
                ) from error

        return render_chat_prompt(messages, render, special)


class _GenerationBlock(Extension):
    """`{% generation %}`, which marks the assistant's texts for training. Here: normal text."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return Scope(body, lineno=line)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's filter escapes HTML, which chat templates do not expect.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
