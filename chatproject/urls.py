"""Every address of the service. API paths carry no trailing slash."""

from django.contrib import admin
from django.urls import include, path

from chatproject import operations, schema

urlpatterns = [
    path("api/auth/", include("accounts.urls")),
    path("api/providers", include("providers.urls")),
    path("api/chat/", include("chat.urls")),
    path("api/schema", schema.SchemaView.as_view(), name="schema"),
    path("api/docs", schema.DocsView.as_view(), name="docs"),
    path("healthz", operations.healthz),
    path("readyz", operations.readyz),
    path("metrics", operations.metrics),
    path("", include("accounts.page_urls")),  # before the admin, three of whose pages it replaces
    path("admin/", admin.site.urls),
    path("", include("chat.page_urls")),
]

handler400 = "chatproject.errors.bad_request"
handler403 = "chatproject.errors.permission_denied"
handler404 = "chatproject.errors.page_not_found"
handler500 = "chatproject.errors.server_error"
