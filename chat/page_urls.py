from django.urls import path

from chat import pages, settings_pages

urlpatterns = [
    path("", pages.new_chat, name="new-chat"),
    path("c/<uuid:session_id>", pages.conversation, name="conversation"),
    path("c/<uuid:session_id>/messages/<uuid:message_id>", pages.one_message, name="message"),
    path("list", pages.session_list, name="session-list"),
    path("history", pages.history, name="history"),
    path("settings", settings_pages.settings_page, name="settings"),
    path("settings/language", settings_pages.language, name="settings-language"),
    path("settings/providers/<str:provider>", settings_pages.provider_settings, name="provider-settings"),
    path(
        "settings/providers/<str:provider>/test", settings_pages.try_provider, name="provider-settings-test"
    ),
    path(
        "settings/providers/<str:provider>/delete",
        settings_pages.delete_provider,
        name="provider-settings-delete",
    ),
]
