"""Password validators whose texts Django has not translated yet."""

from django.contrib.auth import password_validation
from django.utils.translation import gettext


class MinimumLengthValidator(password_validation.MinimumLengthValidator):
    def get_error_message(self) -> str:
        text = gettext("The password is too short: use at least %(count)d characters.")
        return text % {"count": self.min_length}
