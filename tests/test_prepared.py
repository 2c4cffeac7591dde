"""Queries that are compiled once: they must say what the ORM's own would say, each time anew."""

import uuid
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from chat.models import ChatSession, IdempotencyKey, Message, Worker
from chatproject.prepared import Both, Insert, Select, Together, Update

pytestmark = pytest.mark.django_db


def session_of(user: User, title: str) -> ChatSession:
    return ChatSession.objects.create(user=user, title=title, provider="demo", model="demo")


def test_each_run_takes_its_own_values(django_user_model):
    by_title = Select(lambda user, title: ChatSession.objects.filter(user_id=user, title=title))
    alice, bob = (django_user_model.objects.create(username=name) for name in ("alice", "bob"))
    hers, his = session_of(alice, "100 % 中文 '); --"), session_of(bob, "b")
    assert by_title.objects(alice.pk, "100 % 中文 '); --") == [hers]
    assert by_title.objects(bob.pk, "b") == [his]
    assert by_title.first(bob.pk, "100 % 中文 '); --") is None


def test_what_is_read_equals_what_the_orm_reads(django_user_model):
    session = session_of(django_user_model.objects.create(username="alice"), "a")
    Message.objects.create(
        session=session, role="assistant", usage={"inputTokens": 3}, content="\u4e2d\U0001f642"
    )
    read = Select(lambda session: Message.objects.filter(session_id=session)).first(session.pk)
    expected = Message.objects.get()
    assert read is not None
    assert {field.attname: getattr(read, field.attname) for field in Message._meta.concrete_fields} == {
        field.attname: getattr(expected, field.attname) for field in Message._meta.concrete_fields
    }
    assert (read._state.adding, read._state.db) == (False, "default")


def test_a_prepared_query_is_not_built_again(django_user_model, django_assert_num_queries):
    built = []

    def build(user):
        built.append(user)
        return User.objects.filter(pk=user).values_list("username")

    query = Select(build)
    users = [django_user_model.objects.create(username=name) for name in ("alice", "bob")]
    with django_assert_num_queries(2):
        assert [query.rows(user.pk) for user in users] == [[("alice",)], [("bob",)]]
    assert len(built) == 1


def test_an_update_changes_what_it_names_and_counts_it(django_user_model):
    session = session_of(django_user_model.objects.create(username="alice"), "a")
    answer = Message.objects.create(session=session, role="assistant", status="streaming")
    change = Update(
        lambda message, status, usage: (
            Message.objects.filter(pk=message, status__in=["streaming", status]),
            {"status": status, "usage": usage},
        )
    )
    assert change.run(answer.pk, "complete", {"outputTokens": 2}) == 1
    assert change.run(answer.pk, "complete", None) == 1
    assert change.run(answer.pk, "failed", {}) == 0
    answer.refresh_from_db()
    assert (answer.status, answer.usage) == ("complete", None)
    assert Message.objects.filter(usage__isnull=True).count() == 1


def test_two_updates_run_together_and_the_second_is_counted(django_user_model):
    session = session_of(django_user_model.objects.create(username="alice"), "a")
    message = Message.objects.create(session=session, role="user", content="问")
    both = Both(
        Update(lambda session, title: (ChatSession.objects.filter(pk=session), {"title": title})),
        Update(lambda message, content: (Message.objects.filter(pk=message), {"content": content})),
    )
    assert both.run((session.pk, "b %"), (message.pk, "答 %")) == 1
    assert both.run((session.pk, "c"), (uuid.uuid4(), "")) == 0
    assert both.run((uuid.uuid4(), "d"), (message.pk, "e")) == 1
    assert ChatSession.objects.values_list("title", "messages__content").get() == ("c", "e")


def test_errors_are_those_of_the_orm(django_user_model):
    session = session_of(django_user_model.objects.create(username="alice"), "a")
    again = Insert(lambda pk, now: [Worker(pk=pk, heartbeat_at=now)])
    again.run(session.pk, NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        again.run(session.pk, NOW)
    by_title = Select(lambda title: ChatSession.objects.filter(title=title))
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            by_title.first("a")
        transaction.set_rollback(False)
    assert by_title.first("a") == session


def test_what_is_the_same_each_time_is_kept_as_it_is(django_user_model):
    user = django_user_model.objects.create(username="alice")
    title = "100 %s '); -- \\ 中文"
    session_of(user, title)
    named = Select(lambda user: ChatSession.objects.filter(user=user, title=title, title__contains="%s"))
    assert [session.title for session in named.objects(user.pk)] == [title]


NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_rows_are_inserted_at_once(django_user_model, django_assert_num_queries):
    session = session_of(django_user_model.objects.create(username="alice"), "t")
    two = Insert(
        lambda session, question, answer, content, usage, now: [
            Message(id=question, session_id=session, role="user", content=content, created_at=now),
            Message(
                id=answer,
                session_id=session,
                parent_id=question,
                role="assistant",
                content="100 %s",
                usage=usage,
                created_at=now,
            ),
        ]
    )
    first, second = uuid.uuid4(), uuid.uuid4()
    with django_assert_num_queries(1):
        assert two.run(session.pk, first, second, "问", {"a": [1]}, NOW) == 2
    fields = ("id", "content", "usage", "parent_id", "on_branch", "created_at", "retryable")
    assert list(Message.objects.order_by("role").values_list(*fields)) == [
        (second, "100 %s", {"a": [1]}, first, True, NOW, None),
        (first, "问", None, None, True, NOW, None),
    ]


def test_what_differs_each_time_must_be_given():
    careless = Insert(lambda pk, session: [Message(id=pk, session_id=session, role="user")])
    with pytest.raises(TypeError, match="created_at"):
        careless.run(uuid.uuid4(), uuid.uuid4())
    assert not Message.objects.exists()


def test_the_database_counts_the_keys_of_those_that_have_none(django_user_model):
    user = django_user_model.objects.create(username="alice")
    claims = Insert(
        lambda user, one, other, message, now: [
            IdempotencyKey(user_id=user, key=key, fingerprint="f", message_id=message, created_at=now)
            for key in (one, other)
        ]
    )
    claims.run(user.pk, "a", "b", uuid.uuid4(), NOW)
    ids = IdempotencyKey.objects.order_by("key").values_list("id", flat=True)
    assert len(set(ids)) == 2 and None not in ids


def test_an_insert_goes_together_with_what_was_before_it(django_user_model):
    user = django_user_model.objects.create(username="alice")
    begin = Insert(
        lambda session, user, title, now: [
            ChatSession(
                id=session, user_id=user, title=title, provider="p", model="m", created_at=now, updated_at=now
            )
        ]
    )
    rename = Update(lambda session, title: (ChatSession.objects.filter(pk=session), {"title": title}))
    ask = Insert(
        lambda session, message, content, now: [
            Message(id=message, session_id=session, role="user", content=content, created_at=now)
        ]
    )
    session = uuid.uuid4()
    assert Both(begin, ask).run((session, user.pk, "a", NOW), (session, uuid.uuid4(), "one", NOW)) == 1
    assert Both(rename, ask).run((session, "b %"), (session, uuid.uuid4(), "two %", NOW)) == 1
    assert ChatSession.objects.values_list("title", flat=True).get() == "b %"
    assert set(Message.objects.values_list("session_id", "content")) == {(session, "one"), (session, "two %")}


def test_selects_that_go_together_find_what_each_would(django_user_model, django_assert_max_num_queries):
    alice, bob = (django_user_model.objects.create(username=name) for name in ("alice", "bob"))
    session = session_of(alice, "a %")
    message = Message.objects.create(session=session, role="user", usage={"inputTokens": 3}, created_at=NOW)
    together = Together(
        Select(lambda session: ChatSession.objects.filter(pk=session)),
        Select(lambda user, title: ChatSession.objects.filter(user_id=user, title=title).values_list("id")),
        Select(lambda session: Message.objects.filter(session_id=session)),
    )
    with django_assert_max_num_queries(1 if connection.vendor == "postgresql" else 3):
        found = together.found((session.pk,), (alice.pk, "a %"), (session.pk,))
    assert found == [[session], [(session.pk,)], [message]]
    assert (found[2][0].usage, found[2][0].created_at) == ({"inputTokens": 3}, NOW)
    assert together.found((session.pk,), (bob.pk, "a %"), (uuid.uuid4(),)) == [[session], [], []]


def test_moments_keep_their_zone():
    Insert(lambda pk, moment: [Worker(pk=pk, heartbeat_at=moment)]).run(uuid.uuid4(), NOW)
    at = Select(lambda moment: Worker.objects.filter(heartbeat_at=moment).values_list("heartbeat_at"))
    assert at.rows(NOW) == [(NOW,)]
    assert connection.vendor in at._finished
