"""Laws of special tokens: core adds them, and untrusted text never does."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.errors import CapabilityError
from autocog_core.model.turn_end import explain_undeclared_turn_end, find_turn_end
from autocog_core.scoring.prompt_encoding import split_prompt
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import require_equal
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.backend_info import SpecialToken
from autocog_core.types.prompt import Message, Prompt


@law("tokens")
def bos_once(subject: BackendUnderTest) -> None:
    """A sequence has one BOS if the model adds BOS, and none otherwise."""
    model = subject.model
    bos, adds_bos = model.info.bos, model.info.adds_bos
    if adds_bos and bos is None:
        raise LawViolation(
            "info.adds_bos is true, but info.bos is None", cause="set info.bos to the id of BOS"
        )
    for prompt in subject.prompts:
        if bos is not None and bos in (tokens := model.tokenize(prompt)):
            raise LawViolation(
                "`tokenize` adds BOS",
                given=prompt,
                expected="ids of the text alone",
                got=tokens,
                cause="add_special_tokens is on: core adds BOS itself, once",
            )
        tokens = model.encode(prompt)
        if bos is not None:
            require_equal(
                int(adds_bos),
                tokens.count(bos),
                "a sequence has the wrong number of BOS",
                given=prompt,
            )


@law("tokens")
def special_text_stays_text(subject: BackendUnderTest) -> None:
    """In untrusted text, the text of a special token is plain text."""
    model = subject.model
    special_tokens = _special_tokens(subject)
    inexpressible: list[str] = []
    for special in special_tokens:
        if not special.text:
            raise LawViolation("a special token has no text", got=special)
        text = f"{subject.prompts[0]} {special.text} {subject.prompts[0]}"
        if not subject.can_tokenize(text):
            inexpressible.append(text)
            continue
        tokens = model.tokenize(text)
        if special.id in tokens:
            raise LawViolation(
                "a special token in untrusted text is parsed",
                given=text,
                expected="the tokens of its letters",
                got=tokens,
                cause="parse_special=False is ignored, for example split_special_tokens is off",
            )
        if special.text not in model.detokenize(tokens):
            # If the letters alone are lost too, the cause is not the special token.
            letters = special.text[:-1]
            if letters not in model.detokenize(model.tokenize(letters)):
                inexpressible.append(letters)
                continue
            raise LawViolation(
                "the text of a special token is lost",
                given=text,
                expected=special.text,
                got=model.detokenize(tokens),
            )
    if len(inexpressible) == len(special_tokens):
        raise NotApplicableError(f"the vocabulary cannot express {inexpressible[0]!r}")


@law("tokens")
def trusted_special_text(subject: BackendUnderTest) -> None:
    """In trusted text, the text of a special token becomes that token, which has no bytes."""
    model = subject.model
    for special in _special_tokens(subject):
        require_equal(
            [special.id],
            model.tokenize(special.text, at_start=False, parse_special=True),
            "the text of a special token is not parsed in trusted text",
            given=special.text,
            cause="parse_special=True is ignored, or info.special_tokens is wrong",
        )
        require_equal(
            b"",
            model.detokenize_bytes([special.id]),
            "a special token has bytes",
            given=special.text,
            cause="skip_special_tokens is off",
        )


@law("chat")
def chat_content_stays_text(subject: BackendUnderTest) -> None:
    """The content of a chat message cannot insert special tokens."""
    model, text = subject.model, subject.prompts[0]
    for special in model.info.special_tokens:
        content = f"{text} {special.text} {text}"
        subject.require_tokenizable(content)
        harmless: list[Message] = [{"role": "user", "content": f"{text} {text}"}]
        attack: list[Message] = [{"role": "user", "content": content}]
        require_equal(
            _ids(subject, model.chat_prompt(harmless)).count(special.id),
            _ids(subject, model.chat_prompt(attack)).count(special.id),
            "the content of a message inserts a special token",
            given=content,
            cause="the template's result is parsed as a whole: keep contents as untrusted text",
        )


@law("chat")
def template_arguments_end_with_their_call(subject: BackendUnderTest) -> None:
    """The `template_arguments` of one chat prompt do not change the next one."""
    model = subject.model
    messages: list[Message] = [{"role": "user", "content": subject.prompts[0]}]
    before, again = (model.chat_prompt(messages) for _ in range(2))
    if before != again:
        raise NotApplicableError("the chat template writes the time")
    try:
        model.chat_prompt(messages, template_arguments={"enable_thinking": False, "autocog": "a"})
    except CapabilityError as error:
        raise NotApplicableError(f"the backend takes no template_arguments: {error}") from error
    require_equal(
        before,
        model.chat_prompt(messages),
        "a chat prompt depends on the template_arguments of the call before it",
        given=messages,
        cause="the variables are stored in the template: give them to one rendering",
    )


@law("chat", "tokens")
def turns_end_with_eos(subject: BackendUnderTest) -> None:
    """The token that ends a turn of the chat template ends completions (else a warning)."""
    end = find_turn_end(subject.model, subject.prompts[0])
    if end is None:
        raise NotApplicableError("the chat template ends turns with no special token")
    if warning := explain_undeclared_turn_end(subject.model, end):
        subject.warn(warning)


def _special_tokens(subject: BackendUnderTest) -> Sequence[SpecialToken]:
    tokens = subject.model.info.special_tokens
    if not tokens:
        raise NotApplicableError("no special tokens are declared")
    return tokens


def _ids(subject: BackendUnderTest, prompt: Prompt) -> list[int]:
    """Return the ids of a prompt, even if it does not fit the context."""
    client = subject.model.client
    prepared = split_prompt(client, prompt)
    (tail,) = client.tokenize([prepared.open_text], at_start=prepared.at_start)
    return [*prepared.fixed_ids, *tail]
