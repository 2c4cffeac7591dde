"""When a model is marked as retired, or as retiring soon."""

from datetime import date

from django.utils import translation

from providers.retirement import notice

TODAY = date(2026, 6, 1)


def test_only_models_within_30_days_of_their_end_are_marked() -> None:
    with translation.override("en"):
        assert notice("m", None, TODAY) == ""
        assert notice("m", date(2026, 7, 2), TODAY) == ""
        assert notice("m", date(2026, 7, 1), TODAY) == (
            "m will be retired on July 1, 2026. Choose another model in time."
        )
        assert notice("m", TODAY, TODAY) == "m has been retired since June 1, 2026. Choose another model."
    with translation.override("zh-hans"):
        assert "停用" in notice("m", TODAY, TODAY)
