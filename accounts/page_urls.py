from django.urls import path
from django.views.generic import RedirectView

from accounts import pages
from accounts.hashing import hashing_page

urlpatterns = [
    path("accounts/login", hashing_page(pages.LoginPage.as_view()), name="login"),
    path("accounts/register", hashing_page(pages.RegisterPage.as_view()), name="register"),
    path("accounts/logout", pages.LogoutPage.as_view(), name="logout"),
    # Instead of the admin's own: one would hold a page thread, one counts no tries, and one leaves drafts.
    path("admin/login/", hashing_page(pages.admin_login)),
    path("admin/logout/", pages.LogoutPage.as_view()),
    path("admin/password_change/", RedirectView.as_view(url="/accounts/password")),
    path("accounts/password", hashing_page(pages.PasswordPage.as_view()), name="password"),
    path("settings/theme", pages.theme, name="settings-theme"),
    path("settings/sign-out-everywhere", pages.sign_out_everywhere, name="sign-out-everywhere"),
]
