"""`normal` is always there; what it says and how is the operator's to change."""

from django.db import migrations


def create(apps, schema_editor):
    apps.get_model("chat", "Mode").objects.get_or_create(
        pk="normal",
        defaults={
            "name": "普通",
            "name_en": "Normal",
            "description": "直接回答，不附加指令。",
            "description_en": "A plain answer, without further instructions.",
            "position": 0,
        },
    )


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
