"""Which messages a model is sent: every conversation that can come about, against the promises."""

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chat.history import Row, full, place_of, recent, tokens_of
from providers.base import ChatMessage

STATUSES = ["complete", "stopped", "failed", "interrupted", "streaming"]
ANSWERS = st.tuples(st.sampled_from(STATUSES), st.sampled_from(["", " ", "yes", "是的", "no\n" * 30]))
# A question, and the answer to it; none where it was deleted.
ROUNDS = st.lists(st.none() | ANSWERS, max_size=60)
LIMITS = st.integers(1, 30)


def branch(rounds: Sequence[tuple[str, str] | None]) -> list[Row]:
    rows: list[Row] = []
    for number, answer in enumerate(rounds):
        rows.append(Row(UUID(int=len(rows)), "user", "complete", f"question {number}"))
        if answer is not None:
            rows.append(Row(UUID(int=len(rows)), "assistant", *answer))
    rows.append(Row(UUID(int=len(rows)), "user", "complete", "the newest question"))
    return rows


def simple(turns: int) -> list[Row]:
    return branch([("complete", f"answer {number}") for number in range(turns)])


def texts(messages: list[ChatMessage]) -> list[str]:
    return [message.content for message in messages]


def sent_rows(rows: list[Row], first: UUID) -> list[Row]:
    return [row for row in rows if row.id >= first and row.counts and row.content.strip()]


@given(ROUNDS, LIMITS)
def test_what_is_sent_begins_with_the_user_alternates_and_ends_with_the_question(rounds, limit):
    rows = branch(rounds)

    history = recent(rows, before=0, limit=limit)

    roles = [message.role for message in history.messages]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
    assert history.messages[-1].content.endswith("the newest question")
    assert 1 <= history.context.sent <= limit
    assert "\n\n".join(texts(history.messages)) == "\n\n".join(
        row.content for row in sent_rows(rows, history.context.first)
    )


@given(ROUNDS, LIMITS)
def test_nothing_is_left_out_that_should_be_sent(rounds, limit):
    rows = branch(rounds)
    counting = [row for row in rows if row.counts]

    context = recent(rows, before=0, limit=limit).context

    assert counting[context.omitted].id == context.first
    assert len(counting) > limit or context.omitted == 0 or counting[0].role == "assistant"
    # One block at most is dropped before it must be, and an assistant's messages that it would begin with.
    unneeded = limit - (len(counting) - context.omitted)
    block = max(1, min(10, limit // 2))
    begins = counting[: context.omitted]
    answers = (
        len(begins) - max((index for index, row in enumerate(begins) if row.role == "user"), default=-1) - 1
    )
    assert unneeded < block + answers or context.omitted == 0


@given(ROUNDS, LIMITS, st.integers(0, 40))
def test_the_newest_rows_alone_give_the_same_history(rounds, limit, more):
    rows = branch(rounds)
    whole = recent(rows, before=0, limit=limit)
    counting = [row for row in rows if row.counts]
    if len(counting) < limit:
        return
    cut = rows.index(counting[-limit])
    start = max(0, cut - more)
    before = sum(row.counts for row in rows[:start])

    assert recent(rows[start:], before=before, limit=limit) == whole


@given(ROUNDS, LIMITS)
def test_the_place_of_rows_is_known_from_the_newest_answer(rounds, limit):
    rows = branch(rounds)
    context = recent(rows, before=0, limit=limit).context
    rows.append(
        Row(UUID(int=len(rows)), "assistant", "complete", "an answer", context.first, context.omitted)
    )
    at = next(index for index, row in enumerate(rows) if row.id == context.first)
    for start in range(at + 1):
        assert place_of(rows[start:]) == sum(row.counts for row in rows[:start])
    assert place_of(rows[at + 1 :]) is None


def test_the_beginning_stays_the_same_for_five_turns():
    firsts = [recent(simple(turns), before=0, limit=20).context.first.int for turns in range(40)]

    assert firsts[:10] == [0] * 10
    assert firsts[10:15] == [10] * 5
    assert firsts[15:20] == [20] * 5
    assert sorted(firsts) == firsts


def test_a_provider_may_keep_what_the_next_question_is_sent_after():
    asked = [recent(simple(turns), before=0, limit=20).messages for turns in range(40)]
    for messages, following in pairwise(asked):
        [kept] = [index for index, message in enumerate(messages) if message.keep]
        # In the next branch the question is no longer the newest one.
        goes_on = texts(following)[: len(messages) - 1] == texts(messages)[:-1]
        assert kept == (len(messages) - 1 if goes_on else len(messages) - 3)


@given(ROUNDS, st.integers(0, 600))
def test_all_that_fits_is_sent_and_no_more(rounds, budget):
    rows = branch(rounds)
    counting = [row for row in rows if row.counts]

    history = full(rows, before=0, budget=budget)

    sent = sent_rows(rows, history.context.first)
    cost = sum(tokens_of(row.content) for row in sent)
    assert cost <= budget or [row.content for row in sent] == ["the newest question"]
    if sum(tokens_of(row.content) for row in counting) <= budget:
        assert history.context.omitted == 0 or counting[0].role == "assistant"
    roles = [message.role for message in history.messages]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)]


def test_all_that_fits_begins_at_the_same_message_for_many_turns():
    budget = sum(tokens_of(row.content) for row in simple(15))
    firsts = [full(simple(turns), before=0, budget=budget).context.first.int for turns in range(40)]

    assert firsts[:16] == [0] * 16
    assert len(set(firsts[16:])) <= 6
    assert all(first % 10 == 0 for first in firsts)
