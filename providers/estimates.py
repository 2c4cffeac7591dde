"""Token counts where a provider gives none: a fair guess, and marked as one."""

import re
from dataclasses import replace

from .base import ChatRequest, Usage

_WIDE = re.compile(
    r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]|[\U00020000-\U0003ffff]"
)


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text is: 3/4 per CJK character, 1/4 per any other."""
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return round(wide * 0.75 + (len(text) - wide) / 4) or (1 if text else 0)


def estimate_usage(request: ChatRequest, text: str, reasoning: str = "") -> Usage:
    thought = estimate_tokens(reasoning)
    return Usage(
        input_tokens=sum(estimate_tokens(message.content) for message in request.messages),
        output_tokens=estimate_tokens(text) + thought,
        reasoning_tokens=thought,
        estimated=True,
    )


def whole_usage(usage: Usage | None, request: ChatRequest, text: str, reasoning: str) -> Usage:
    """Return what the provider said, with a guess wherever it said nothing."""
    if usage is not None and usage.input_tokens is not None and usage.output_tokens is not None:
        return usage
    guess = estimate_usage(request, text, reasoning)
    if usage is None:
        return guess
    read = guess.input_tokens if usage.input_tokens is None else usage.input_tokens
    written = guess.output_tokens if usage.output_tokens is None else usage.output_tokens
    return replace(usage, input_tokens=read, output_tokens=written, estimated=True)
