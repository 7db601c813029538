"""The structs of the output: one `ChatCompletionResponse`, as the server would have sent it without streaming.

1. The names and the fields are those of OpenAI's API and of Atoma's, then those that other servers add.
2. A field that never came is None. Only the constants of a type have a default: `role`, `type` and `object`.
3. The order of the fields is the order of the keys in `to_dict` and `to_json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from .._codec.depth import check_depth
from .._codec.errors import TooDeep, Unreadable
from .._codec.lenient import ignore, parse, to_struct
from .._codec.objects import plain_data
from .._codec.struct import NO_EXTRA, Extra, WireStruct, join_surrogates
from .._error_shapes import error_in
from .._errors import DecodeError, LimitError, ProviderError
from .._limits import Limits
from .message import ChatCompletionMessage
from .usage import CompletionUsage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


class ChatCompletionTokenTopLogProb(WireStruct):
    """A token that the model could have sampled at one place. `bytes` is its UTF-8."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionTokenLogProb(WireStruct):
    """A sampled token and its alternatives. `logprob` is a natural logarithm."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: list[ChatCompletionTokenTopLogProb] | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionLogProbs(WireStruct):
    """Log probabilities of the texts, one entry for each token."""

    content: list[ChatCompletionTokenLogProb] | None = None
    refusal: list[ChatCompletionTokenLogProb] | None = None
    reasoning_content: list[ChatCompletionTokenLogProb] | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionChoice(WireStruct):
    """One of the answers. `index` is its place in the list of answers."""

    index: int | None = None
    message: ChatCompletionMessage = field(default_factory=ChatCompletionMessage)
    finish_reason: str | None = None
    logprobs: ChatCompletionLogProbs | None = None
    stop_reason: int | str | None = None
    native_finish_reason: str | None = None
    matched_stop: int | str | None = None
    content_filter_results: Any = None
    text: str | None = None
    token_ids: list[Any] | None = None
    seed: int | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionResponse(WireStruct):
    """A whole chat completion. At each level `extra` holds the fields that its type does not have.

    `created` is a Unix time in seconds.
    """

    id: str | None = None
    object: str = "chat.completion"
    created: int | float | None = None
    model: str | None = None
    choices: list[ChatCompletionChoice] = field(default_factory=list)
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: CompletionUsage | None = None
    provider: Any = None
    citations: Any = None
    search_results: Any = None
    x_groq: Any = None
    prompt_filter_results: Any = None
    timings: Any = None
    prompt_token_ids: Any = None
    signature: Any = None
    response_hash: Any = None
    model_id: Any = None
    model_version: Any = None
    created_at: Any = None
    extra: Extra = NO_EXTRA

    @classmethod
    def from_json(cls, data: bytes | str) -> ChatCompletionResponse:
        """Read a response that was not streamed. Small faults are repaired, as in a stream.

        Raises `ProviderError` where the body is an error, `DecodeError` where it is not a completion, and `LimitError`
        where it nests deeper than the default of `Limits`.
        """
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            response = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            response = _read(raw)
        # An error body decodes strictly too, with no choices. A body with few brackets cannot nest too deep.
        if not response.choices or raw.count(b"{") + raw.count(b"[") > Limits().depth:
            response = _read(raw)
        return _with_indexes(response)

    @classmethod
    def from_openai(cls, completion: Any) -> ChatCompletionResponse:
        """Read a `ChatCompletion` of the openai client, or an object of its shape: a dict, a model with `model_dump`.

        Raises `DecodeError` where it is not a completion, and `LimitError` where it nests deeper than the default of
        `Limits`.
        """
        try:
            return _with_indexes(_response_of(plain_data(completion, Limits().depth)))
        except TooDeep:
            raise LimitError("depth", Limits().depth) from None
        except Unreadable as error:
            raise DecodeError(str(error), path=f"${error.path}") from error

    def to_openai(self) -> ChatCompletion:
        """The response as the openai client's own type. As in that client, no field is validated.

        Raises `ImportError` where the openai package is not installed.
        """
        try:
            from openai.types.chat import ChatCompletion
        except ImportError as error:
            raise ImportError("to_openai() needs the openai package: pip install openai") from error
        return ChatCompletion.model_construct(**self.to_dict())

    @property
    def text(self) -> str:
        """The text of the first choice; empty where there is none."""
        return self.choices[0].message.text if self.choices else ""


_decode = msgspec.json.Decoder(ChatCompletionResponse).decode


def _read(raw: bytes) -> ChatCompletionResponse:
    try:
        plain = parse(raw, ignore)
        if (error := error_in(plain)) is not None:
            raise ProviderError(error)
        check_depth(plain, Limits().depth)
        return _response_of(plain)
    except TooDeep:
        raise LimitError("depth", Limits().depth) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(str(error), data=raw) from error
    except Unreadable as error:
        raise DecodeError(str(error), path=f"${error.path}", data=raw) from error


def _response_of(plain: Any) -> ChatCompletionResponse:
    if not isinstance(plain, dict) or "choices" not in plain:
        raise Unreadable("expected an object with choices")
    return join_surrogates(to_struct(ChatCompletionResponse, plain, ignore))


def _with_indexes(response: ChatCompletionResponse) -> ChatCompletionResponse:
    """The response with an index for each choice: the place in the list where the server sent none."""
    for place, choice in enumerate(response.choices):
        if choice.index is None:
            choice.index = place
    return response
