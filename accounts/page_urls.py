from django.urls import path

from accounts import pages

urlpatterns = [
    path("accounts/login", pages.LoginPage.as_view(), name="login"),
    path("accounts/register", pages.RegisterPage.as_view(), name="register"),
    path("accounts/logout", pages.LogoutPage.as_view(), name="logout"),
    path("accounts/password", pages.PasswordPage.as_view(), name="password"),
]
