from django.urls import path

from chat import views

sessions = views.ChatSessionViewSet

urlpatterns = [
    path("stream", views.StreamView.as_view()),
    path("modes", views.ModesView.as_view()),
    path("sessions", sessions.as_view({"get": "list", "post": "create"})),
    path(
        "sessions/<str:session_id>",
        sessions.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("sessions/<str:session_id>/messages", views.SessionMessagesView.as_view()),
    path("sessions/<str:session_id>/title", views.TitleView.as_view()),
    path("sessions/<str:session_id>/branch", views.BranchView.as_view()),
    path("sessions/<str:session_id>/stop", views.StopView.as_view()),
    path("sessions/<str:session_id>/stream", views.ResumeView.as_view()),
    path("sessions/<str:session_id>/regenerate", views.RegenerateView.as_view()),
    path("messages/<str:message_id>", views.MessageView.as_view()),
    path("messages/<str:message_id>/edit", views.EditView.as_view()),
    path("messages/<str:message_id>/continue", views.ContinueView.as_view()),
]
