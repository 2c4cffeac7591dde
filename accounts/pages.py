"""The pages for signing in and out, registering, and changing the password."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import login, update_session_auth_hash, views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django.views.generic import FormView

from accounts import looks, sign_ins
from accounts.forms import LoginForm, PasswordForm, RegisterForm, wait_of
from accounts.models import User


class Throttling:
    """Answers 429 where the form says that there were too many tries."""

    def form_invalid(self, form: BaseForm) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]  # mixed into a form view
        return throttled(response, form)


def throttled(response: HttpResponse, form: BaseForm) -> HttpResponse:
    if (wait := wait_of(form)) is not None:
        response.status_code = 429
        response["Retry-After"] = str(max(1, round(wait)))
    return response


class Onward(views.RedirectURLMixin):
    """Goes on to `?next=` where that is a page of this site, other than this very one."""

    request: HttpRequest

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        url = super().get_redirect_url()
        return "" if url.partition("?")[0] == self.request.path else url


class LoginPage(Throttling, Onward, views.LoginView):
    template_name = "registration/login.html"
    form_class = LoginForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(registration_open=settings.REGISTRATION_OPEN, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        looks.remember(response, _person(self.request).theme)
        return response


def admin_login(request: HttpRequest) -> HttpResponse:
    response = admin.site.login(request)
    if request.method == "POST" and isinstance(response, TemplateResponse):
        return throttled(response, (response.context_data or {})["form"])
    return response


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class RegisterPage(Throttling, Onward, FormView):
    template_name = "registration/register.html"
    form_class = RegisterForm
    next_page = settings.LOGIN_REDIRECT_URL

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return HttpResponseRedirect(self.get_success_url())
        if not settings.REGISTRATION_OPEN:
            closed = self.get_context_data(form=None)
            return self.render_to_response(closed, status=403)
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        next_url = {self.redirect_field_name: self.get_redirect_url()}
        return super().get_context_data(registration_open=settings.REGISTRATION_OPEN, **next_url, **kwargs)

    def form_valid(self, form: RegisterForm) -> HttpResponse:
        try:
            user = form.save()
        except ValidationError as exc:
            form.add_error(None, exc)
            return self.form_invalid(form)
        login(self.request, user)
        return HttpResponseRedirect(self.get_success_url())


class LogoutPage(views.LogoutView):
    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post(request, *args, **kwargs)
        # Drafts stay with nobody, also where no script of the page's forgets them: in the admin.
        response["Clear-Site-Data"] = '"storage"'
        return response


class PasswordPage(Throttling, views.PasswordChangeView):
    template_name = "registration/password.html"
    form_class = PasswordForm
    success_url = "/settings"

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("The password is changed. Every other sign-in has ended."))
        this = sign_ins.id_of(self.request.session)
        sign_ins.remember(self.request.session, this)
        with transaction.atomic():
            response = super().form_valid(form)
            form.user.keep(this)
            form.user.save(update_fields=["kept_sign_in"])
        return response


@require_POST
@login_required
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme that somebody chose: "light", "dark", or "" for the device's."""
    chosen = request.POST.get("theme", "")
    if chosen and chosen not in looks.THEMES:
        raise Http404
    person = _person(request)
    person.theme = chosen
    person.save(update_fields=["theme"])
    response = HttpResponseRedirect(reverse("settings"))
    looks.remember(response, chosen)
    return response


@require_POST
@login_required
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every session and token of a person; only the browser that asks stays signed in."""
    person = _person(request)
    this = sign_ins.id_of(request.session)
    sign_ins.remember(request.session, this)
    person.sign_out_everywhere(keep=this)
    update_session_auth_hash(request, person)
    messages.success(request, _("You are signed out everywhere but here."))
    return HttpResponseRedirect(reverse("settings"))


def _person(request: HttpRequest) -> User:
    """Return who is signed in, as the row itself."""
    return User.objects.get(pk=int(request.user.pk or 0))
