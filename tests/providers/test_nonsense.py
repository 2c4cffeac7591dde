"""Whatever a server sends, what comes out is parts and a `ProviderError`, nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.adapters.anthropic import MessagesReader
from providers.adapters.anthropic import parse_models as anthropic_models
from providers.adapters.gemini import GeminiReader
from providers.adapters.gemini import parse_models as gemini_models
from providers.adapters.ollama import OllamaReader
from providers.adapters.ollama import parse_models as ollama_models
from providers.adapters.openai import ChatReader
from providers.adapters.openai import parse_models as openai_models
from providers.adapters.responses import ResponsesReader
from providers.base import ReasoningDelta, TextDelta
from providers.error_mapping import fault_in_stream, fault_of_response
from providers.errors import ProviderError

KEYS = """type error code message status details reason retryDelay choices delta content text thinking
    reasoning reasoning_content reasoning_details summary refusal finish_reason index usage prompt_tokens
    completion_tokens total_tokens completion_tokens_details reasoning_tokens x_groq response output item
    incomplete_details output_text content_block usage input_tokens stop_reason candidates parts thought
    finishReason functionCall usageMetadata promptFeedback blockReason promptTokenCount done done_reason
    eval_count tool_calls object data models id name capabilities meta providers metadata raw innererror
    input_tokens_details output_tokens_details""".split()  # noqa: SIM905
WORDS = """stop length error text text_delta thinking thinking_delta content_block_delta content_block_start
    message_start message_delta message_stop message response.output_text.delta response.completed
    response.failed response.incomplete response.output_item.added response.reasoning_text.delta response
    completed incomplete STOP SAFETY end_turn function_call <think> </think> overloaded_error 429""".split()  # noqa: SIM905
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(st.characters(codec=None), max_size=6),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)
chunks = st.lists(st.dictionaries(st.sampled_from(KEYS), values, max_size=6), max_size=4)


@pytest.mark.parametrize("reader", [ChatReader, ResponsesReader, MessagesReader, GeminiReader, OllamaReader])
@settings(max_examples=120, deadline=None)
@given(chunks=chunks)
def test_a_reader_takes_whatever_json_there_is(reader, chunks):
    read = reader()
    parts = []
    try:
        for chunk in chunks:
            parts += read.feed(json.dumps(chunk).encode())
        parts += read.rest()
        read.finished(None)
    except ProviderError:
        pass

    for part in parts:
        if isinstance(part, TextDelta | ReasoningDelta):
            assert part.text
            # It can be stored and sent.
            assert "\0" not in part.text and part.text.encode()


@settings(max_examples=120, deadline=None)
@given(payload=values, status=st.integers(300, 599))
def test_an_error_may_look_like_anything(payload, status):
    for fault in (
        fault_in_stream(payload),
        fault_of_response(status, {}, json.dumps(payload).encode()),
    ):
        assert isinstance(fault, ProviderError)
        assert str(fault).encode()
        assert fault.retry_after is None or 0 <= fault.retry_after <= 3600


@pytest.mark.parametrize("parse", [openai_models, anthropic_models, gemini_models, ollama_models])
@settings(max_examples=60, deadline=None)
@given(answer=values)
def test_a_list_of_models_may_look_like_anything(parse, answer):
    try:
        models = parse(answer)
    except ProviderError:
        return
    assert all(isinstance(model.id, str) for model in models)
