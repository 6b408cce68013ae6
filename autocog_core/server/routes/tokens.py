"""`POST /tokenize` and `/detokenize`: tokens of texts and chats, in the forms of other servers."""

from __future__ import annotations

from typing import NotRequired

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from autocog_core.model.model import Model
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.openai_api.chat_messages import ChatFields, ChatMessage
from autocog_core.server.openai_api.token_names import TokenNames
from autocog_core.server.request_body import ModelBody
from autocog_core.server.request_calls import Calls
from autocog_core.server.request_errors import RequestError
from autocog_core.server.whole_numbers import TokenId
from autocog_core.types.prompt import Prompt, TokenPiece

router = APIRouter(tags=["tokens"])


class TokenizeBody(ChatFields):
    """A text or a chat."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="The model's name.")
    prompt: str | None = Field(None, description="The text.", examples=["Hello"])
    content: str | None = Field(None, description="The text, as llama-server calls it.")
    messages: list[ChatMessage] | None = Field(  # type: ignore[assignment]
        None, min_length=1, description="A chat, in place of a text."
    )
    add_special_tokens: bool | None = Field(
        None, description="Begin with BOS, if the model does (default: true for `prompt`)."
    )
    add_special: bool | None = Field(
        None, description="The same, as llama-server calls it (default: false for `content`)."
    )
    parse_special: bool | None = Field(
        None, description="Make tokens of the texts of special tokens (default: false)."
    )
    at_start: bool | None = Field(
        None, description="Whether the text begins a sequence (default: true)."
    )
    return_token_strs: bool | None = Field(None, description="Return the texts of the tokens.")
    return_pieces: bool | None = Field(
        None, description="Return the prompt of a chat in pieces: what is trusted, and what not."
    )

    def text(self) -> str | None:
        """Return the text; None for a chat.

        :raises RequestError: unless there is one text, or a chat.
        """
        given = [value for value in (self.prompt, self.content) if value is not None]
        if len(given) + (self.messages is not None) != 1:
            raise RequestError("give either prompt or messages", parameter="prompt")
        return given[0] if given else None

    def begins_with_bos(self, model: Model) -> bool:
        """Whether the tokens begin with BOS."""
        wanted = self.add_special_tokens if self.content is None else self.add_special
        return model.info.adds_bos and (self.content is None if wanted is None else wanted)


class PromptPiece(TypedDict, total=False):
    """A text of a prompt, or tokens. Special tokens are parsed in trusted texts only."""

    text: str
    trusted: bool
    tokens: list[int]


class TokenizeAnswer(TypedDict):
    """The tokens."""

    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None
    pieces: NotRequired[list[PromptPiece]]


class DetokenizeBody(ModelBody):
    """Tokens."""

    tokens: list[TokenId] = Field(description="The ids.", examples=[[72, 105]])


class DetokenizeAnswer(TypedDict):
    """The text, twice: as vLLM calls it, and as llama-server does."""

    prompt: str
    content: str


@router.post("/tokenize", response_model=TokenizeAnswer)
async def tokenize(body: TokenizeBody, calls: Calls) -> JsonAnswer:
    """Return the tokens of a text, or those of a chat in the model's template."""
    text = body.text()
    model = await calls.model(body.model)

    def make(loaded: Model) -> TokenizeAnswer:
        if text is None:
            prompt = body.chat_prompt(loaded)
            tokens = loaded.encode(prompt)
        else:
            tokens = _tokens_of(loaded, text, body)
        names = TokenNames(loaded, by_id=False)
        answer = TokenizeAnswer(
            count=len(tokens),
            max_model_len=loaded.info.context_length,
            tokens=tokens,
            token_strs=[names.name(token) for token in tokens] if body.return_token_strs else None,
        )
        if text is None and body.return_pieces:
            answer["pieces"] = _pieces_of(prompt)
        return answer

    (answer,) = await calls.make(model, [model.calls.call(make)])
    return await json_answer(lambda: answer, entries=answer["count"])


@router.post("/detokenize")
async def detokenize(body: DetokenizeBody, calls: Calls) -> DetokenizeAnswer:
    """Return the text of tokens; bytes that are no text become U+FFFD."""
    model = await calls.model(body.model)

    def make(loaded: Model) -> str:
        return loaded.detokenize(body.tokens)

    (text,) = await calls.make(model, [model.calls.call(make)])
    return DetokenizeAnswer(prompt=text, content=text)


def _tokens_of(model: Model, text: str, body: TokenizeBody) -> list[int]:
    at_start = body.at_start is not False
    tokens = model.tokenize(text, at_start=at_start, parse_special=bool(body.parse_special))
    bos = model.info.bos
    if at_start and bos is not None and body.begins_with_bos(model) and tokens[:1] != [bos]:
        return [bos, *tokens]
    return tokens


def _pieces_of(prompt: Prompt) -> list[PromptPiece]:
    return [
        PromptPiece(tokens=list(piece.tokens))
        if isinstance(piece, TokenPiece)
        else PromptPiece(text=piece.text, trusted=piece.trusted)
        for piece in prompt.pieces
    ]
