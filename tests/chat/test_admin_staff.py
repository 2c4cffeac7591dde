"""What staff see of conversations who may list them, but not read what people wrote."""

import re
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import Client
from rest_framework.exceptions import PermissionDenied

from accounts.models import User
from chat.models import ChatSession
from providers.models import ProviderConfig
from providers.views import settings_owner

pytestmark = pytest.mark.django_db

MARK = "xylophonist"
SESSIONS = "/admin/chat/chatsession/"
MESSAGES = "/admin/chat/message/"


@pytest.fixture(autouse=True)
def _static_files_under_their_own_names(settings: Any) -> None:
    """Nobody has collected them for this process."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture
def session() -> ChatSession:
    """A conversation with the mark in its title, its question, its answer and the thoughts behind it."""
    owner = User.objects.create_user("owner", password=None)
    session = ChatSession.objects.create(user=owner, title=MARK, provider="demo", model="demo")
    question = session.messages.create(role="user", content=MARK)
    session.messages.create(role="assistant", parent=question, content=MARK, reasoning=MARK)
    return session


def staff(*names: str) -> User:
    """Return a new member of the staff with these permissions."""
    user = User.objects.create_user(f"staff-{User.objects.count()}", password=None, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


def signed_in(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


@pytest.fixture
def lister() -> Client:
    """Somebody of the staff with every right but that to read messages."""
    user = staff()
    user.user_permissions.set(Permission.objects.exclude(codename="view_message"))
    return signed_in(user)


@pytest.fixture
def administrator() -> Client:
    return signed_in(User.objects.create_superuser("root", password=None))


def addresses(session: ChatSession, client: Client) -> Iterator[str]:
    """Yield every address of the admin about a conversation and its messages, and all that links lead to."""
    rows: list[tuple[str, Any]] = [("chatsession", session.pk)]
    rows += [("message", message.pk) for message in session.messages.all()]
    for model, key in rows:
        for rest in (
            "",
            f"?q={MARK}",
            "add/",
            f"{key}/",
            f"{key}/change/",
            f"{key}/delete/",
            f"{key}/history/",
        ):
            yield f"/admin/chat/{model}/{rest}"
        yield f"/admin/r/{ContentType.objects.get(app_label='chat', model=model).pk}/{key}/"
    yield f"/admin/autocomplete/?app_label=chat&model_name=message&field_name=session&term={MARK}"
    yield "/admin/autocomplete/?app_label=chat&model_name=message&field_name=session&term="
    waiting, seen = ["/admin/"], {"/admin/"}
    while waiting:
        page = waiting.pop()
        yield page
        for link in re.findall(r'href="(/admin/[^"#]*)', client.get(page).content.decode()):
            if link not in seen and "logout" not in link and len(seen) < 150:
                seen.add(link)
                waiting.append(link)


def test_no_address_of_the_admin_shows_a_word(session: ChatSession, lister: Client) -> None:
    visited = 0
    for address in addresses(session, lister):
        response = lister.get(address)
        # What was asked for stands in the search box.
        text = response.content.decode().replace(f'value="{MARK}"', "").replace(f"q={MARK}", "")
        assert MARK not in text, address
        assert response.status_code < 500, address
        visited += 1
    assert visited > 40


def test_conversations_are_listed_without_their_titles(session: ChatSession, lister: Client) -> None:
    page = lister.get(SESSIONS).content.decode()

    assert str(session.pk) in page
    assert "The id of a conversation." in page


def test_a_conversation_is_found_by_its_id_and_by_no_word(session: ChatSession, lister: Client) -> None:
    assert str(session.pk) in lister.get(SESSIONS, {"q": str(session.pk)}).content.decode()
    assert str(session.pk) not in lister.get(SESSIONS, {"q": MARK}).content.decode()


def test_readers_find_conversations_by_their_words(session: ChatSession) -> None:
    reader = signed_in(staff("view_chatsession", "view_message"))

    page = reader.get(SESSIONS, {"q": MARK}).content.decode()

    assert f"{SESSIONS}{session.pk}/change/" in page
    assert MARK in reader.get(f"{SESSIONS}{session.pk}/change/").content.decode()


@pytest.mark.parametrize(
    "lookup",
    [
        "title",
        "title__contains",
        "title__startswith",
        "messages__content__contains",
        "messages__reasoning__regex",
        "user__password__startswith",
        "user__chat_sessions__title__contains",
    ],
)
def test_no_lookup_tells_a_word_of_a_conversation(session: ChatSession, lister: Client, lookup: str) -> None:
    assert lister.get(SESSIONS, {lookup: MARK}).status_code == 400


@pytest.mark.parametrize("lookup", ["content__contains", "reasoning__contains", "session__title__contains"])
def test_no_lookup_finds_words_among_messages(administrator: Client, lookup: str) -> None:
    assert administrator.get(MESSAGES, {lookup: MARK}).status_code == 400


@pytest.mark.parametrize(
    ("address", "lookup"),
    [
        ("/admin/providers/providerconfig/", "api_key__startswith"),
        ("/admin/providers/providerconfig/", "base_url__startswith"),
        ("/admin/accounts/user/", "chat_sessions__title__contains"),
    ],
)
def test_no_other_list_leads_to_words_or_keys(administrator: Client, address: str, lookup: str) -> None:
    assert administrator.get(address, {lookup: "x"}).status_code == 400


def test_the_filters_of_the_lists_still_work(session: ChatSession, administrator: Client) -> None:
    for address, filters in (
        (SESSIONS, {"archived__exact": "0", "username": "owner", "provider": "demo", "model": "de"}),
        (SESSIONS, {"user__id__exact": str(session.user_id)}),
        (MESSAGES, {"role__exact": "user", "status__exact": "complete", "from": "2020-01-01"}),
        (MESSAGES, {"session__id__exact": str(session.pk)}),
    ):
        page = administrator.get(address, filters)
        assert page.status_code == 200
        assert str(session.pk) in page.content.decode(), (address, filters)


def test_deleting_a_conversation_leaves_no_word_behind(session: ChatSession, lister: Client) -> None:
    deleted = lister.post(f"{SESSIONS}{session.pk}/delete/", {"post": "yes"}, follow=True)

    assert MARK not in deleted.content.decode()
    assert LogEntry.objects.get().object_repr == str(session.pk)


def test_old_titles_in_the_log_are_replaced_by_ids(session: ChatSession) -> None:
    entry = LogEntry.objects.create(
        user=session.user,
        content_type=ContentType.objects.get_for_model(ChatSession),
        object_id=str(session.pk),
        object_repr=MARK,
        action_flag=3,
    )

    hide = import_module("chat.migrations.0007_no_titles_in_the_admin_log")
    hide.name_by_id(apps, SimpleNamespace(connection=connection))

    entry.refresh_from_db()
    assert entry.object_repr == str(session.pk)


# --- Rights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "permissions"),
    [
        ("GET", ["view_providerconfig"]),
        ("PUT", ["add_providerconfig", "change_providerconfig"]),
        ("DELETE", ["delete_providerconfig"]),
        ("POST", ["change_providerconfig"]),
    ],
)
def test_shared_settings_ask_for_the_permissions_of_the_admin(method: str, permissions: list[str]) -> None:
    allowed = asked_for(method, staff(*permissions))
    everything_else = Permission.objects.exclude(codename__in=permissions).values_list("codename", flat=True)

    with pytest.raises(PermissionDenied):
        asked_for(method, staff(*everything_else))
    outside = staff(*permissions)
    outside.is_staff = False
    with pytest.raises(PermissionDenied):
        asked_for(method, outside)

    assert allowed is None


def asked_for(method: str, user: User) -> Any:
    """Return whose settings a request for shared ones is about: nobody's own, unless it is refused."""
    request: Any = SimpleNamespace(query_params={"shared": "true"}, user=user, method=method)
    return settings_owner(request)


def test_a_member_of_staff_cannot_take_more_rights() -> None:
    user, other = staff("view_user", "change_user", "delete_user"), User.objects.create_user("other")
    boss = User.objects.create_superuser("boss")
    client = signed_in(user)

    own = client.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    assert 'name="is_superuser"' not in own
    for rest in ("password/", "delete/"):
        assert client.get(f"/admin/accounts/user/{boss.pk}/{rest}").status_code == 403
    # With another's password one would read what they wrote.
    assert client.get(f"/admin/accounts/user/{other.pk}/password/").status_code == 403
    changed = client.post(
        f"/admin/accounts/user/{other.pk}/change/",
        {"username": "other", "is_active": "on", "is_superuser": "on", "is_staff": "on", "language": "en"},
    )
    other.refresh_from_db()
    assert (changed.status_code, other.language, other.is_staff, other.is_superuser) == (
        302,
        "en",
        False,
        False,
    )


def test_a_persons_own_settings_are_led_to_no_other_server_by_staff() -> None:
    other = User.objects.create_user("other")
    row = ProviderConfig.objects.create(user=other, provider="openai")
    shared = ProviderConfig.objects.create(user=None, provider="openai")
    client = signed_in(staff(*(f"{action}_providerconfig" for action in ("view", "add", "change"))))

    page = "/admin/providers/providerconfig/{}/change/"
    assert 'name="address"' not in client.get(page.format(row.pk)).content.decode()
    assert client.post(page.format(row.pk), {"address": "https://example.com"}).status_code == 403
    assert 'name="address"' in client.get(page.format(shared.pk)).content.decode()
    assert 'name="user"' not in client.get("/admin/providers/providerconfig/add/").content.decode()


def test_the_groups_are_made_once_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("make_staff_groups")
    operators, support = Group.objects.get(name="operators"), Group.objects.get(name="support")
    support.permissions.clear()
    call_command("make_staff_groups")
    kept = support.permissions.count()
    call_command("make_staff_groups", "--reset")

    assert operators.permissions.count() == 16
    assert not operators.permissions.filter(codename="view_message").exists()
    assert kept == 0
    assert set(support.permissions.values_list("codename", flat=True)) == {
        "view_user",
        "view_chatsession",
        "view_message",
    }
    assert capsys.readouterr().out.splitlines() == [
        "operators: made",
        "support: made",
        "operators: there already, left as it is",
        "support: there already, left as it is",
        "operators: reset",
        "support: reset",
    ]
