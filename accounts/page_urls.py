from django.urls import path
from django.views.generic import RedirectView

from accounts import pages
from accounts.hashing import hashing_page

urlpatterns = [
    path("accounts/login", hashing_page(pages.LoginPage.as_view()), name="login"),
    path("accounts/register", hashing_page(pages.RegisterPage.as_view()), name="register"),
    path("accounts/logout", pages.LogoutPage.as_view(), name="logout"),
    # The admin has pages of its own for these, which count no tries or hold a page thread.
    path("admin/login/", hashing_page(pages.admin_login)),
    path("admin/password_change/", RedirectView.as_view(url="/accounts/password")),
    path("accounts/password", hashing_page(pages.PasswordPage.as_view()), name="password"),
]
