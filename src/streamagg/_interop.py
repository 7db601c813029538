"""The types of other libraries, which are imported only when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


def to_openai(plain: dict[str, Any]) -> ChatCompletion:
    """A response as plain data, as the openai client's type; built leniently, as the client itself does."""
    try:
        from openai.types.chat import ChatCompletion
    except ImportError as error:
        raise ImportError("to_openai() needs the openai package: pip install openai") from error
    return ChatCompletion.model_construct(**plain)
