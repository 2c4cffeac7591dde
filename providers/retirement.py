"""Models that their providers no longer serve, or will stop serving within a month."""

from datetime import date, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext as _

NEAR = timedelta(days=30)


def retiring(retires: date | None, today: date) -> bool:
    """Tell whether a model is retired, or will be within 30 days."""
    return retires is not None and retires <= today + NEAR


def notice(model: str, retires: date | None, today: date) -> str:
    """Return a sentence about a model that is retired or will be soon; nothing about any other."""
    if retires is None or not retiring(retires, today):
        return ""
    values = {"model": model, "date": date_format(retires, "DATE_FORMAT")}
    if retires <= today:
        return _("%(model)s has been retired since %(date)s. Choose another model.") % values
    return _("%(model)s will be retired on %(date)s. Choose another model in time.") % values
