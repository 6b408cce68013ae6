"""The public calls `choose` and `choose_many`, with their keywords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from autocog_core.automaton.choices import ChoiceTexts
from autocog_core.errors import InputError
from autocog_core.model.call_context import CallContext, require_messages
from autocog_core.model.call_warnings import warn_about_choices
from autocog_core.model.calls import GreedyCalls
from autocog_core.model.choice_arguments import (
    ChoiceLike,
    choices_per_prompt,
    make_choice_request,
    require_list,
)
from autocog_core.model.choice_scoring import (
    choose_by_backend,
    choose_one,
    choose_together,
    choose_top,
)
from autocog_core.scoring.choice_encoding import check_choices
from autocog_core.types.choice import ChoiceRequest, ChoiceScores, EndOfSequence, Norm
from autocog_core.types.prompt import Message, Prompt, PromptLike
from autocog_core.types.search_goal import SearchGoal
from autocog_core.types.top_choices import TopChoices


class ChoiceCalls(GreedyCalls):
    """Calls of models that score choices."""

    @overload
    def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[ChoiceLike] = (),
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
        isolate: bool = False,
        top: None = None,
        within: None = None,
        at_least: None = None,
    ) -> ChoiceScores: ...

    @overload
    def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[ChoiceLike] = (),
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
        isolate: bool = False,
        top: int,
        within: float | None = None,
        at_least: float | None = None,
    ) -> TopChoices: ...

    def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[ChoiceLike] = (),
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
        isolate: bool = False,
        top: int | None = None,
        within: float | None = None,
        at_least: float | None = None,
    ) -> ChoiceScores | TopChoices:
        """Score strings that continue the prompt, exactly.

        :param prompt: the text before the choices.
        :param choices: two or more different strings, or `Choice` for a value or several texts.
        :param messages: a chat, in place of `prompt`.
        :param template_arguments: variables of the model's chat template for `messages`, such as
            `{"enable_thinking": False}`; they override the model's own.
        :param norm: what ranks the choices: "sum" (the exclusive log-probability), "mean" (per
            token), "per_byte", or "pmi".
        :param suffix: text that must follow the choice, or `EOS`.
        :param boundary: "strict" raises where the end of the prompt would be re-tokenized.
        :param method: one of the methods that the backend offers; None is the best of them.
        :param unconditional_prompt: for "pmi", the text that takes the place of the prompt.
        :param isolate: let no other call change the scores, nor another prompt of the same call:
            with quantized weights, the numbers of a token depend on what is evaluated with it. The
            first piece of a prompt of several pieces is then evaluated by itself, and calls that
            begin with the same one share it. docs/semantics.md, "Isolated choices", has the rules.
        :param top: return only so many of the best choices, and read only the part of the tree that
            proves them. The result is then `TopChoices`.
        :param within: with `top`, read on until the probability of each of them is known to within
            this width.
        :param at_least: with `top`, read on until it is certain whether the best choice has at
            least this probability.
        :raises InputError: for no, empty or equal choices or values, and other bad arguments.
        :raises ContextOverflowError: if prompt and longest choice do not fit.
        """
        context = self._call_context()
        request, texts = make_choice_request(
            context.prompt(prompt, messages, template_arguments),
            choices,
            norm=norm,
            suffix=suffix,
            boundary=boundary,
            method=method,
            unconditional_prompt=unconditional_prompt,
            isolate=isolate,
        )
        wanted = _search_goal(top, within, at_least)
        if wanted is None:
            return _choose(context, request, texts)
        (result,) = choose_top(context.client, [(request, texts)], wanted)
        warn_about_choices(context.client, request)
        return result

    @overload
    def choose_many(
        self,
        prompts: Sequence[PromptLike] | None = None,
        choices: Sequence[ChoiceLike] | Sequence[Sequence[ChoiceLike]] = (),
        *,
        messages: Sequence[Sequence[Message]] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
        isolate: bool = False,
        top: None = None,
        within: None = None,
        at_least: None = None,
    ) -> list[ChoiceScores]: ...

    @overload
    def choose_many(
        self,
        prompts: Sequence[PromptLike] | None = None,
        choices: Sequence[ChoiceLike] | Sequence[Sequence[ChoiceLike]] = (),
        *,
        messages: Sequence[Sequence[Message]] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
        isolate: bool = False,
        top: int,
        within: float | None = None,
        at_least: float | None = None,
    ) -> list[TopChoices]: ...

    def choose_many(
        self,
        prompts: Sequence[PromptLike] | None = None,
        choices: Sequence[ChoiceLike] | Sequence[Sequence[ChoiceLike]] = (),
        *,
        messages: Sequence[Sequence[Message]] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
        isolate: bool = False,
        top: int | None = None,
        within: float | None = None,
        at_least: float | None = None,
    ) -> list[ChoiceScores] | list[TopChoices]:
        """Score choices after many prompts in one call, so that the engine can share and batch.

        The other arguments are those of `choose`.

        :param prompts: the prompts.
        :param choices: one list for all prompts, or one list a prompt.
        :param messages: chats, in place of `prompts`.
        :returns: the scores of each prompt, in the order of the prompts.
        :raises InputError: as `choose`, naming the prompt that is wrong.
        """
        context = self._call_context()
        if (prompts is None) == (messages is None):
            raise InputError("give either prompts or messages", where="prompts")
        if messages is not None:
            prompts = [
                context.chat_prompt(chat, template_arguments=template_arguments)
                for chat in messages
            ]
        else:
            require_messages(template_arguments)
        prompts = require_list(prompts or ())
        requests = [
            make_choice_request(
                Prompt.of(prompt),
                prompt_choices,
                norm=norm,
                suffix=suffix,
                boundary=boundary,
                method=method,
                unconditional_prompt=unconditional_prompt,
                isolate=isolate,
            )
            for prompt, prompt_choices in zip(
                prompts, choices_per_prompt(prompts, choices), strict=True
            )
        ]
        wanted = _search_goal(top, within, at_least)
        if wanted is not None:
            best = choose_top(context.client, requests, wanted)
            for request, _ in requests:
                warn_about_choices(context.client, request)
            return best
        if context.core_chooses():
            results = choose_together(context.client, requests)
        else:
            for request, _ in requests:
                check_choices(request)
            results = choose_by_backend(context.client, requests)
        for request, _ in requests:
            warn_about_choices(context.client, request)
        return results


def score_choices(
    context: CallContext, request: ChoiceRequest, texts: ChoiceTexts | None
) -> ChoiceScores:
    """Return the scores of a request, without the warnings of `choose`."""
    # Core checks the choices where it encodes them. Other backends need not.
    if not context.core_chooses():
        check_choices(request)
    return choose_one(context.client, request, texts)


def _choose(
    context: CallContext, request: ChoiceRequest, texts: ChoiceTexts | None
) -> ChoiceScores:
    scores = score_choices(context, request, texts)
    # The choices were checked now.
    warn_about_choices(context.client, request)
    return scores


def _search_goal(
    top: int | None, within: float | None, at_least: float | None
) -> SearchGoal | None:
    """Return how many of the best choices are wanted; None for the scores of all choices.

    :raises InputError: for wrong numbers, or the others without `top`.
    """
    if top is not None:
        return SearchGoal(top=top, within=within, at_least=at_least)
    for name, value in (("within", within), ("at_least", at_least)):
        if value is not None:
            raise InputError("is only for the best choices", where=name, hint="give top=1, too")
    return None
