"""What every provider adapter takes and gives, whatever protocol it speaks."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str
    # Everything up to this message will be sent again unchanged, so a provider can cache it.
    keep: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a model: the conversation so far and how to answer it.

    A parameter that is `None` is not sent: the provider's own default applies.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = 0.7
    top_p: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    # How much the model may read, for a protocol that has to be told.
    context_window: int | None = None
    # Fields for the request's body that no parameter stands for; what the adapter says itself wins.
    extra_body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # Whether the last answer broke off, and the last message asks to go on with it.
    continues: bool = False
    # Takes a piece of the answer's text at once, so that nobody need be woken for it. An adapter may call it
    # only while the next part is waited for; what it has taken is not yielded.
    on_text: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    # Returns the text of this answer so far, for an adapter that has to look back.
    said: Callable[[], str] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningEnd:
    """All text so far was reasoning: a server wrote it as text, and only its end tells."""


@dataclass(frozen=True, slots=True)
class ServedBy:
    """The model that answers, as the provider calls it."""

    model: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as billed, as soon as they are known; a later `Usage` replaces an earlier one.

    `output_tokens` includes the reasoning tokens and `input_tokens` the cached
    ones, whichever way the provider counts. `None` means it did not say.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.output_tokens, other.output_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            _sum(self.cached_tokens, other.cached_tokens),
            self.estimated or other.estimated,
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    TOOL_CALLS = "tool_calls"
    OTHER = "other"


class Output(StrEnum):
    """What an answer may hold besides text."""

    IMAGE = "image"
    AUDIO = "audio"
    TOOL_CALL = "tool_call"


@dataclass(frozen=True, slots=True)
class Finished:
    """The provider's own word that the answer is whole; given once, last of all.

    `beside` is what came besides text.
    """

    reason: FinishReason
    beside: frozenset[Output] = frozenset()


StreamPart = TextDelta | ReasoningDelta | ReasoningEnd | ServedBy | Usage | Finished


@dataclass(frozen=True, slots=True)
class ModelInfo:
    id: str
    name: str | None = None
    context_window: int | None = None


class Adapter(Protocol):
    """A provider, ready to be asked."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        """Yield the answer piece by piece; the last part is `Finished`.

        Raises a `ProviderError` for every failure. A stream that ends without
        the provider's own end marker or finish reason raises `BrokenStream`.
        Closing the generator closes the provider's connection at once.
        """
        ...

    async def list_models(self) -> list[ModelInfo]:
        """Return the models this key may use; raises a `ProviderError`."""
        ...
