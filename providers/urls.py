from django.urls import path

from providers import views

# Included at "api/providers", which is itself the list.
urlpatterns = [
    path("", views.ProvidersView.as_view(), name="api-providers"),
    path("/<str:provider>/config", views.ConfigView.as_view(), name="api-provider-config"),
    path("/<str:provider>/models", views.ModelsView.as_view(), name="api-provider-models"),
    path("/<str:provider>/test", views.TestView.as_view(), name="api-provider-test"),
]
