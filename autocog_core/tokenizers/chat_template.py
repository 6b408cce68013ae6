"""Chat templates, rendered as Transformers does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocog_core.errors import InputError, ModelLoadError
from autocog_core.tokenizers.chat_prompt import render_chat_prompt, stopped_clock
from autocog_core.types.prompt import Message, Prompt

if TYPE_CHECKING:
    from jinja2 import Environment, Template

#: The template that is used, of several, if there are tools and if there are none.
_TOOLS, _DEFAULT = "tool_use", "default"


class ChatTemplate:
    """A Jinja template of messages.

    :param source: the text of the template, or several texts by name: then "tool_use" is used with
        the variable `tools`, and "default" without it.
    :param tokens: texts of special tokens that it may use, by name (`bos_token` ...).
    :param places: where the texts are, by their names, for messages.
    :raises ModelLoadError: if a template is not valid, or none is the default.
    """

    def __init__(
        self,
        source: str | Mapping[str, str],
        tokens: Mapping[str, str],
        places: Mapping[str, str] | None = None,
    ) -> None:
        from autocog_core.tokenizers.chat_environment import make_environment

        environment = make_environment()
        sources = {_DEFAULT: source} if isinstance(source, str) else source
        if _DEFAULT not in sources:
            names = ", ".join(sorted(sources))
            raise ModelLoadError(f"none of its chat templates is the default, but {names}")
        self._templates = {
            name: _compile(environment, text, (places or {}).get(name, ""))
            for name, text in sources.items()
        }
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
        arguments = template_arguments or {}
        clock = stopped_clock()

        def render(message_dicts: list[dict[str, str]]) -> str:
            variables = {
                **arguments,
                "messages": message_dicts,
                "add_generation_prompt": add_generation_prompt,
                "strftime_now": clock,
            }
            try:
                return self.render(variables)
            # Templates raise a TemplateError to refuse a role or an order of turns. But they are
            # programs, and can fail in other ways.
            except Exception as error:
                raise InputError(
                    f"the model's chat template refuses the messages: {error}", where="messages"
                ) from error

        return render_chat_prompt(messages, render, special)

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the text of the template.

        :param variables: the messages, `add_generation_prompt`, and other variables.
        """
        name = _TOOLS if variables.get("tools") is not None else _DEFAULT
        template = self._templates.get(name, self._templates[_DEFAULT])
        return template.render({"tools": None, "documents": None, **self._tokens, **variables})


def _compile(environment: Environment, text: str, place: str) -> Template:
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        return environment.from_string(text)
    except TemplateError as error:
        line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        raise ModelLoadError(
            f"its chat template is not valid{line}: {error}",
            where=place,
            hint="correct it, or remove it and give prompts instead of messages",
        ) from error
