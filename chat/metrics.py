"""What an operator wants to know of the answers, for Prometheus."""

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from chat.answers import Outcome, RunningAnswer

_SECONDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 900)

_running = Gauge("chat_answers_running", "Answers being written now.", multiprocess_mode="livesum")
_ended = Counter("chat_answers_total", "Answers that have ended.", ["status", "error"])
_first_token = Histogram("chat_first_token_seconds", "From the call to its first piece.", buckets=_SECONDS)
_duration = Histogram("chat_answer_seconds", "From the call to the end of the answer.", buckets=_SECONDS)
_tokens = Counter("chat_tokens_total", "Tokens as the providers count them.", ["direction"])


def started() -> None:
    _running.inc()


def ended(answer: "RunningAnswer", outcome: "Outcome") -> None:
    _running.dec()
    _ended.labels(outcome.status, outcome.error_code).inc()
    if answer.first_token_at is not None:
        _first_token.observe(answer.first_token_at - answer.started_at)
    if answer.ended_at is not None:
        _duration.observe(answer.ended_at - answer.started_at)
    if answer.usage is not None:
        _tokens.labels("input").inc(answer.usage.input_tokens or 0)
        _tokens.labels("output").inc(answer.usage.output_tokens or 0)
