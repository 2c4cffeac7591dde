from django.urls import path

from chat import pages

urlpatterns = [
    path("", pages.new_chat, name="new-chat"),
    path("c/<uuid:session_id>", pages.conversation, name="conversation"),
    path("c/<uuid:session_id>/messages/<uuid:message_id>", pages.one_message, name="message"),
    path("history", pages.history, name="history"),
    path("settings", pages.settings_page, name="settings"),
    path("settings/language", pages.language, name="settings-language"),
    path("settings/providers/<str:provider>", pages.provider_settings, name="provider-settings"),
    path("settings/providers/<str:provider>/delete", pages.delete_provider, name="provider-settings-delete"),
]
