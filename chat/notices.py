"""Why a complete answer has no text: a code for programs, and a sentence for people."""

from collections.abc import Set

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from providers.base import FinishReason, Output

REFUSAL = "refusal"
CONTENT_FILTER = "content_filter"
LENGTH = "length"
IMAGE = "image"
AUDIO = "audio"
TOOL_CALL = "tool_call"
REASONING_ONLY = "reasoning_only"
OTHER = "other"
EMPTY = "empty"

TEXTS: dict[str, str | Promise] = {
    REFUSAL: _("The model refused to answer and gave no reason. Word the question differently."),
    CONTENT_FILTER: _("The provider's content filter held back the whole answer. Word it differently."),
    LENGTH: _("The model reached its output limit before the first word of the answer."),
    IMAGE: _("The model answered with an image alone. This page shows text only."),
    AUDIO: _("The model answered with sound alone. This page shows text only."),
    TOOL_CALL: _("The model wanted to call a tool and wrote no answer. There are no tools here."),
    REASONING_ONLY: _("The model thought about it, but wrote no answer."),
    OTHER: _("The model stopped without an answer, for a reason that this service does not know."),
    EMPTY: _("The model gave no answer."),
}

_BY_FINISH = {
    FinishReason.REFUSAL: REFUSAL,
    FinishReason.CONTENT_FILTER: CONTENT_FILTER,
    FinishReason.LENGTH: LENGTH,
}
_BY_OUTPUT = {Output.IMAGE: IMAGE, Output.AUDIO: AUDIO, Output.TOOL_CALL: TOOL_CALL}


def notice_of(content: str, reasoning: str, finish_reason: str, beside: Set[Output]) -> str:
    """Return why there is no text in a complete answer, or "" where there is some."""
    if content.strip():
        return ""
    if finish_reason in _BY_FINISH:
        return _BY_FINISH[FinishReason(finish_reason)]
    for output, notice in _BY_OUTPUT.items():
        if output in beside:
            return notice
    if finish_reason == FinishReason.TOOL_CALLS:
        return TOOL_CALL
    if reasoning.strip():
        return REASONING_ONLY
    return OTHER if finish_reason == FinishReason.OTHER else EMPTY


def text_of(notice: str) -> str | Promise:
    return TEXTS.get(notice, TEXTS[EMPTY]) if notice else ""
